#include "router/demand_meter.h"

#include <algorithm>
#include <array>
#include <utility>

namespace orchard::router {
namespace {

/// A figure that falls by less is noise of arrivals, and each change of it moves pods.
constexpr double kLeastFall = 0.9;

constexpr unsigned kCountBits = 32;
constexpr std::uint64_t kOne = 1;

std::uint32_t StepIn(std::uint64_t packed) {
  return static_cast<std::uint32_t>(packed >> kCountBits);
}
std::uint32_t CountIn(std::uint64_t packed) { return static_cast<std::uint32_t>(packed); }

/// Whether `a` is later than `b`; step numbers may wrap.
bool Later(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

}  // namespace

DemandMeter::DemandMeter(size_t domains, Options options)
    : domains_(domains),
      options_(options),
      step_(options.window / static_cast<core::Clock::rep>(kWindowSteps)),
      steps_(std::make_unique<std::atomic<std::uint64_t>[]>(domains * kSteps)),
      told_(std::make_unique<std::atomic<bool>[]>(domains)),
      said_(domains, 0.0),
      since_(domains) {}

void DemandMeter::Wanted(size_t domain, core::Clock::time_point now) {
  const std::uint32_t step = StepOf(now);
  std::atomic<std::uint64_t>& place = steps_[domain * kSteps + step % kSteps];
  std::uint64_t was = place.load(std::memory_order_relaxed);
  std::uint64_t is = 0;
  do {
    // A place of an older round begins anew; what comes a round late counts as of the newer one.
    const bool older = CountIn(was) == 0 || Later(step, StepIn(was));
    is = older ? (std::uint64_t{step} << kCountBits) | kOne : was + kOne;
  } while (!place.compare_exchange_weak(was, is));
  // Counted before this is read: either Read() sees the picture, or this sees that it did not.
  if (told_[domain] || told_[domain].exchange(true)) return;
  if (on_active_) on_active_();
}

Demand DemandMeter::Read(size_t domain, std::optional<double> service_seconds,
                         core::Clock::time_point now) {
  const std::uint32_t step = StepOf(now);
  core::MutexLock lock(mutex_);
  Rates rates = RatesOf(domain, step);
  if (rates.mean == 0.0) {
    told_[domain] = false;
    rates = RatesOf(domain, step);  // One that came between told nobody.
  }
  double& said = said_[domain];
  if (rates.mean == 0.0) {
    said = 0.0;
    since_[domain] = step;
    return {.service_seconds = service_seconds};
  }
  const double desired =
      service_seconds ? rates.largest * *service_seconds / options_.target_utilisation : 1.0;
  if (desired > said || desired < kLeastFall * said) said = desired;
  return {.rows_per_second = rates.mean,
          .desired_replicas = said,
          .active = true,
          .service_seconds = service_seconds};
}

/// Of all windows that ended with one of the last kWindowSteps steps. The newest step is not over:
/// it makes the windows that end with it shorter by less than a step.
DemandMeter::Rates DemandMeter::RatesOf(size_t domain, std::uint32_t step) const {
  std::array<double, kSteps + 1> sums{};  // [i]: of all steps before the i-th, the oldest first
  for (size_t i = 0; i < kSteps; ++i) {
    const auto number = static_cast<std::uint32_t>(step - (kSteps - 1) + i);
    const std::uint64_t packed = steps_[domain * kSteps + number % kSteps];
    const bool counts =
        StepIn(packed) == number && !(since_[domain] && Later(*since_[domain], number));
    sums[i + 1] = sums[i] + (counts ? CountIn(packed) : 0.0);
  }
  const double seconds = core::Seconds(step_);
  const auto rate = [&](size_t end, size_t steps) {
    return (sums[end] - sums[end - steps]) / (static_cast<double>(steps) * seconds);
  };
  Rates rates{.mean = rate(kSteps, kWindowSteps), .largest = 0.0};
  for (size_t end = kSteps - kWindowSteps + 1; end <= kSteps; ++end) {
    rates.largest = std::max({rates.largest, rate(end, kWindowSteps), rate(end, kShortSteps)});
  }
  return rates;
}

}  // namespace orchard::router
