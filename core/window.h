#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/clock.h"

namespace orchard::core {

/// Sums per key over the last `window`, forgotten in `buckets` equal steps.
///
/// Time is an argument, so no test sleeps and a replayed log gives the same figures.
/// Not thread-safe: the owner locks. Memory: keys × buckets doubles, whatever the rate.
class WindowSums {
 public:
  /// `buckets` >= 1 and at most `window` in ticks of the clock.
  WindowSums(size_t keys, Clock::duration window, size_t buckets);

  /// A `now` before the newest one (threads race) counts as the newest.
  void Add(size_t key, double amount, Clock::time_point now);

  /// The sums of all keys at `now`, to add to: for many keys at once. Valid until the next call.
  std::span<double> At(Clock::time_point now) { return ring_[Advance(now)]; }

  /// Shape [keys]. What was added in (now - window, now], exact to one step.
  std::vector<double> Sums(Clock::time_point now);

 private:
  /// Clears the buckets that fell out of the window; returns the bucket of `now`.
  size_t Advance(Clock::time_point now);

  size_t keys_;
  Clock::duration step_;
  std::vector<std::vector<double>> ring_;  // [buckets][keys]
  long long newest_ = 0;                   // step number of the newest bucket
};

}  // namespace orchard::core
