#include "core/window.h"

#include <algorithm>

namespace orchard::core {

WindowSums::WindowSums(size_t keys, Clock::duration window, size_t buckets)
    : keys_(keys),
      step_(window / static_cast<long long>(buckets)),
      ring_(buckets, std::vector<double>(keys, 0.0)) {}

size_t WindowSums::Advance(Clock::time_point now) {
  const long long step = now.time_since_epoch() / step_;
  const auto size = static_cast<long long>(ring_.size());
  // A step older than the newest (threads race by microseconds) counts as the newest.
  for (long long next = std::max(newest_ + 1, step - size + 1); next <= step; ++next) {
    std::ranges::fill(ring_[static_cast<size_t>(next % size)], 0.0);
  }
  newest_ = std::max(newest_, step);
  return static_cast<size_t>(newest_ % size);
}

void WindowSums::Add(size_t key, double amount, Clock::time_point now) {
  ring_[Advance(now)][key] += amount;
}

std::vector<double> WindowSums::Sums(Clock::time_point now) {
  Advance(now);
  std::vector<double> sums(keys_, 0.0);
  for (const std::vector<double>& bucket : ring_) {
    for (size_t key = 0; key < keys_; ++key) sums[key] += bucket[key];
  }
  return sums;
}

}  // namespace orchard::core
