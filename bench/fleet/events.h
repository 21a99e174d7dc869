#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace orchard::bench {

using core::Clock;

/// Seconds as a duration, rounded up: what takes some time is never over at once.
inline Clock::duration FromSeconds(double seconds) {
  return Clock::duration(static_cast<Clock::rep>(std::ceil(seconds * 1e9)));
}

/// What happens at which time, of a simulation. Not thread-safe.
class Events {
 public:
  using Run = std::function<void()>;

  /// Far from 0, so that "never" is long ago.
  static constexpr Clock::time_point kStart{std::chrono::hours(1)};

  Clock::time_point now() const { return now_; }

  /// What is planned for the same time happens in the order of planning.
  void At(Clock::time_point when, Run run) {
    events_.push_back({std::max(when, now_), ++planned_, std::move(run)});
    std::ranges::push_heap(events_, Later);
  }
  void In(Clock::duration time, Run run) { At(now_ + time, std::move(run)); }

  /// All that happens up to `end`; then it is `end`.
  void RunUntil(Clock::time_point end) {
    while (!events_.empty() && events_.front().at <= end) {
      std::ranges::pop_heap(events_, Later);
      Event event = std::move(events_.back());
      events_.pop_back();
      now_ = event.at;
      ++happened_;
      event.run();
    }
    now_ = std::max(now_, end);
  }

  std::uint64_t happened() const { return happened_; }

 private:
  struct Event {
    Clock::time_point at;
    std::uint64_t order;
    Run run;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  std::vector<Event> events_;  // a heap, the next one first
  Clock::time_point now_ = kStart;
  std::uint64_t planned_ = 0;
  std::uint64_t happened_ = 0;
};

}  // namespace orchard::bench
