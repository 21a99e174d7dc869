#include "experts/service_time.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace orchard::experts {
namespace {

/// Share of the cores from which on CPU time tells something of the rows.
constexpr double kTelling = 0.05;

}  // namespace

ServiceTime::ServiceTime(Options options)
    : options_(std::move(options)),
      step_(options_.window / static_cast<core::Clock::rep>(options_.steps)),
      ring_(options_.steps * options_.domains),
      cpu_(options_.steps, 0.0),
      sums_(options_.domains),
      seconds_(options_.domains, 0.0) {}

void ServiceTime::Worked(size_t domain, size_t rows, core::Clock::duration busy,
                         core::Clock::time_point now) {
  // Workers race by microseconds: what is older than the newest step counts as of it.
  Advance(std::max<long long>(newest_, now.time_since_epoch() / step_));
  for (Work* const work : {&At(newest_, domain), &sums_[domain]}) {
    work->busy += core::Seconds(busy);
    work->rows += static_cast<double>(rows);
  }
  const Work& sum = sums_[domain];
  if (sum.rows == 0.0 || sum.busy <= 0.0) return;
  seconds_[domain] = sum.busy / static_cast<double>(options_.workers) / sum.rows * overhead_;
}

std::optional<double> ServiceTime::Seconds(size_t domain) const {
  return seconds_[domain] > 0.0 ? std::optional(seconds_[domain]) : std::nullopt;
}

/// Closes the newest step and opens `step`.
void ServiceTime::Advance(long long step) {
  if (step == newest_) return;
  const core::Clock::duration cpu = options_.cpu_time ? options_.cpu_time() : cpu_then_;
  const auto size = static_cast<long long>(options_.steps);
  // Of a pause that is longer than the window nobody knows what it used in the window.
  if (newest_ >= 0 && step - newest_ < size) {
    cpu_[Slot(newest_)] += core::Seconds(cpu - cpu_then_);
    Learn();
  }
  cpu_then_ = cpu;
  for (long long next = std::max(newest_ + 1, step - size + 1); next <= step; ++next) {
    for (size_t domain = 0; domain < options_.domains; ++domain) At(next, domain) = {};
    cpu_[Slot(next)] = 0.0;
  }
  newest_ = step;
  for (size_t domain = 0; domain < options_.domains; ++domain) {
    sums_[domain] = {};
    for (long long slot = 0; slot < size; ++slot) {
      const Work& work = At(slot, domain);
      sums_[domain].busy += work.busy;
      sums_[domain].rows += work.rows;
    }
  }
}

/// From closed steps alone: only of these work and CPU time are of the same time.
void ServiceTime::Learn() {
  const double busy = std::accumulate(sums_.begin(), sums_.end(), 0.0,
                                      [](double sum, const Work& work) { return sum + work.busy; });
  const double used = std::accumulate(cpu_.begin(), cpu_.end(), 0.0) / options_.cpus;
  if (busy <= 0.0 || used < kTelling * core::Seconds(options_.window)) return;
  overhead_ = std::max(1.0, used / (busy / static_cast<double>(options_.workers)));
}

}  // namespace orchard::experts
