#include "bench/fleet/tally.h"

#include <numeric>

namespace orchard::bench {

std::uint64_t Counts::refused() const {
  return std::accumulate(shed.begin(), shed.end(), std::uint64_t{0});
}

Tally::Tally(Clock::time_point from, Clock::time_point to, Clock::duration interval)
    : from_(from),
      to_(to),
      interval_(interval),
      intervals_(static_cast<size_t>((to - from + interval - Clock::duration(1)) / interval)) {}

/// `count` changes the Counts that a picture belongs to, by when it came.
template <typename Count>
void Tally::Each(Clock::time_point arrived, Count count) {
  count(everything_);
  if (!Measures(arrived)) return;
  count(measured_);
  count(intervals_[static_cast<size_t>((arrived - from_) / interval_)].counts);
}

void Tally::Offered(Clock::time_point arrived) {
  Each(arrived, [](Counts& counts) { ++counts.offered; });
}

void Tally::Shed(Clock::time_point arrived, router::Shed reason) {
  Each(arrived, [&](Counts& counts) { ++counts.shed[static_cast<size_t>(reason)]; });
}

void Tally::Lost(Clock::time_point arrived) {
  Each(arrived, [](Counts& counts) { ++counts.lost; });
}

void Tally::Answered(Clock::time_point arrived, Clock::time_point end, bool degraded, bool late) {
  Each(arrived, [&](Counts& counts) {
    ++(degraded ? counts.degraded : counts.answered);
    counts.late += late ? 1 : 0;
  });
  if (!Measures(arrived)) return;
  latency_.Record(end - arrived);
  intervals_[static_cast<size_t>((arrived - from_) / interval_)].latency.Record(end - arrived);
}

void Tally::Missing(Clock::time_point now, experts::MissingReason reason, size_t rows) {
  if (Measures(now)) missing_[static_cast<size_t>(reason)] += rows;
}

void Tally::Called(Clock::time_point now, Clock::duration took) {
  if (Measures(now)) call_latency_.Record(took);
}

}  // namespace orchard::bench
