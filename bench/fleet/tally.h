#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/fleet/events.h"
#include "clients/cpp/bench/histogram.h"
#include "experts/expert.h"
#include "router/refusal.h"

namespace orchard::bench {

/// What became of pictures. Each ends in exactly one way: answered + degraded + shed + lost.
struct Counts {
  std::uint64_t offered = 0;
  std::uint64_t answered = 0;  ///< by all experts that they wanted
  std::uint64_t degraded = 0;  ///< without one of them
  std::uint64_t lost = 0;      ///< with a router that failed
  std::array<std::uint64_t, router::kSheds> shed{};
  std::uint64_t late = 0;  ///< of the answered and degraded: after their deadline

  std::uint64_t refused() const;
  std::uint64_t ended() const { return answered + degraded + lost + refused(); }
};

/// Counts, and latencies of what was answered, degraded or not: in all and by interval. Pictures
/// that come in the warm-up count in everything() alone.
class Tally {
 public:
  Tally(Clock::time_point from, Clock::time_point to, Clock::duration interval);

  void Offered(Clock::time_point arrived);
  void Shed(Clock::time_point arrived, router::Shed reason);
  void Lost(Clock::time_point arrived);
  void Answered(Clock::time_point arrived, Clock::time_point end, bool degraded, bool late);

  // Of calls to experts, from `from` on.
  void Missing(Clock::time_point now, experts::MissingReason reason, size_t rows);
  void Called(Clock::time_point now, Clock::duration took);
  void Retried(Clock::time_point now) { retries_ += Measures(now) ? 1 : 0; }
  void Hedged(Clock::time_point now) { hedges_ += Measures(now) ? 1 : 0; }
  void Ejected(Clock::time_point now) { ejections_ += Measures(now) ? 1 : 0; }

  struct Interval {
    Counts counts;
    client::Histogram latency;
  };

  const Counts& everything() const { return everything_; }
  const Counts& measured() const { return measured_; }
  const client::Histogram& latency() const { return latency_; }
  const client::Histogram& call_latency() const { return call_latency_; }
  const std::vector<Interval>& intervals() const { return intervals_; }
  std::uint64_t missing(experts::MissingReason reason) const {
    return missing_[static_cast<size_t>(reason)];
  }
  std::uint64_t calls() const { return call_latency_.count(); }
  std::uint64_t retries() const { return retries_; }
  std::uint64_t hedges() const { return hedges_; }
  std::uint64_t ejections() const { return ejections_; }

 private:
  bool Measures(Clock::time_point time) const { return time >= from_ && time < to_; }
  template <typename Count>
  void Each(Clock::time_point arrived, Count count);

  const Clock::time_point from_, to_;
  const Clock::duration interval_;
  Counts everything_, measured_;
  client::Histogram latency_, call_latency_;
  std::vector<Interval> intervals_;
  std::array<std::uint64_t, experts::kMissingReasons> missing_{};
  std::uint64_t retries_ = 0, hedges_ = 0, ejections_ = 0;
};

}  // namespace orchard::bench
