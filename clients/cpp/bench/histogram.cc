#include "clients/cpp/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

namespace orchard::client {
namespace {

std::uint64_t Nanoseconds(Histogram::Duration value) {
  const auto count = std::chrono::duration_cast<std::chrono::nanoseconds>(value).count();
  return count < 0 ? 0 : static_cast<std::uint64_t>(count);
}

Histogram::Duration ToDuration(std::uint64_t nanoseconds) {
  return std::chrono::duration_cast<Histogram::Duration>(
      std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds)));
}

}  // namespace

// Values under 2 kSub stand for themselves; above, the leading bit says how far to shift, and the
// kSubBits bits behind it are the place inside the doubling.
size_t Histogram::BucketOf(std::uint64_t value) {
  if (value < kSub) return static_cast<size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
  return static_cast<size_t>(shift) * kSub + static_cast<size_t>(value >> shift);
}

std::uint64_t Histogram::UpperEnd(size_t bucket) {
  if (bucket < 2 * kSub) return bucket;
  const size_t shift = bucket / kSub - 1;
  const std::uint64_t place = bucket - shift * kSub;
  return ((place + 1) << shift) - 1;
}

void Histogram::Record(Duration value) {
  const std::uint64_t nanoseconds = Nanoseconds(value);
  ++counts_[BucketOf(nanoseconds)];
  min_ = count_ == 0 ? nanoseconds : std::min(min_, nanoseconds);
  max_ = std::max(max_, nanoseconds);
  sum_ += static_cast<double>(nanoseconds);
  ++count_;
}

void Histogram::Add(const Histogram& other) {
  if (other.count_ == 0) return;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) counts_[bucket] += other.counts_[bucket];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

Histogram::Duration Histogram::min() const { return ToDuration(min_); }
Histogram::Duration Histogram::max() const { return ToDuration(max_); }

Histogram::Duration Histogram::mean() const {
  if (count_ == 0) return Duration::zero();
  return ToDuration(static_cast<std::uint64_t>(sum_ / static_cast<double>(count_)));
}

Histogram::Duration Histogram::Quantile(double share) const {
  if (count_ == 0) return Duration::zero();
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) return ToDuration(std::clamp(UpperEnd(bucket), min_, max_));
  }
  return max();
}

}  // namespace orchard::client
