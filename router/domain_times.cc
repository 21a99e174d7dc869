#include "router/domain_times.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace orchard::router {

using core::Clock;

namespace {

constexpr double kWeight = 0.1;   // of a new measurement in a domain's mean
constexpr double kFade = 0.995;   // of all shares, with each picture: about the last 200 count
constexpr double kQuick = 0.1;    // of recent pictures
constexpr double kForget = 0.9;   // of the times, with each refusal
constexpr size_t kSortEach = 16;  // pictures
constexpr double kRescale = 1e100;

Clock::duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

void DomainTimes::Add(size_t domain, Clock::duration took) {
  Domain& own = domains_[domain];
  const double seconds = core::Seconds(took);
  own.seconds = own.share == 0.0 ? seconds : own.seconds + kWeight * (seconds - own.seconds);
  one_ /= kFade;
  own.share += one_;
  if (one_ > kRescale) {
    for (Domain& each : domains_) each.share /= kRescale;
    one_ /= kRescale;
  }
  if (added_++ % kSortEach == 0) Sort();
}

void DomainTimes::Sort() {
  std::vector<std::pair<double, double>> by_time;  // seconds, share
  double all = 0.0;
  for (const Domain& domain : domains_) {
    if (domain.share == 0.0) continue;
    by_time.emplace_back(domain.seconds, domain.share);
    all += domain.share;
  }
  std::ranges::sort(by_time);
  double quicker = 0.0;
  for (const auto& [seconds, share] : by_time) {
    quick_ = seconds;
    quicker += share;
    if (quicker >= kQuick * all) break;
  }
}

Clock::duration DomainTimes::Quick() const { return FromSeconds(quick_); }

void DomainTimes::Refused() {
  for (Domain& domain : domains_) domain.seconds *= kForget;
  quick_ *= kForget;
}

}  // namespace orchard::router
