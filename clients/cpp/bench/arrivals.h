#pragma once

#include <cstdint>
#include <random>

#include "core/clock.h"

namespace orchard::client {

/// When the requests of an open loop are due: a Poisson process, so that requests come as those of
/// many callers who know nothing of each other. The same seed gives the same times on every
/// machine. Not thread-safe.
class PoissonArrivals {
 public:
  /// `rate`: requests a second, > 0.
  PoissonArrivals(double rate, std::uint64_t seed) : rate_(rate), random_(seed) {}

  /// When the next request is due, counted from the start; never before the last one.
  core::Clock::duration Next();

 private:
  const double rate_;
  std::mt19937_64 random_;
  double seconds_ = 0.0;
};

}  // namespace orchard::client
