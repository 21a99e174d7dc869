#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/clock.h"

namespace orchard::client {

/// Counts durations in buckets whose width grows with the value, as HdrHistogram does: exact up to
/// 255 ns, and from there on never off by more than 1/128 (0.8 %), up to 292 years. Fixed size (58
/// KiB), no allocation. Not thread-safe.
class Histogram {
 public:
  using Duration = core::Clock::duration;

  /// A negative duration counts as 0.
  void Record(Duration value);

  /// Adds what `other` counted.
  void Add(const Histogram& other);

  std::uint64_t count() const { return count_; }
  Duration min() const;   ///< exact; 0 when nothing was recorded
  Duration max() const;   ///< exact; 0 when nothing was recorded
  Duration mean() const;  ///< exact; 0 when nothing was recorded

  /// The smallest value that at least `share` in [0, 1] of all records are not above: the upper end
  /// of its bucket, at most max(). 0 when nothing was recorded.
  Duration Quantile(double share) const;

 private:
  static constexpr int kSubBits = 7;
  static constexpr size_t kSub = size_t{1} << kSubBits;  // buckets for each doubling
  static constexpr size_t kBuckets = (64 - kSubBits) * kSub;

  static size_t BucketOf(std::uint64_t value);
  static std::uint64_t UpperEnd(size_t bucket);

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t min_ = 0;  // nanoseconds, as the others
  std::uint64_t max_ = 0;
  double sum_ = 0.0;
};

}  // namespace orchard::client
