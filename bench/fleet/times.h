#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::bench {

/// Chance of a known seed: the same with every library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}

  std::uint64_t Bits() { return bits_(); }
  double Uniform() { return static_cast<double>(bits_() >> 11) * 0x1.0p-53; }  ///< [0, 1)
  double Exponential(double mean);
  size_t Below(size_t count);  ///< 0 to count - 1; `count` > 0

 private:
  std::mt19937_64 bits_;
};

/// How long something takes, in seconds.
class Times {
 public:
  /// A share of all, in [0, 1], and the seconds that it stays within.
  struct Quantile {
    double share;
    double seconds;
  };

  Times() = default;  ///< nothing at all
  static Times Constant(double seconds) { return Times(Law::kConstant, seconds); }
  static Times Exponential(double mean) { return Times(Law::kExponential, mean); }
  /// What was measured: even between two quantiles. Errors: INVALID_ARGUMENT unless both shares and
  /// seconds ascend, from share 0 to share 1, and no time is negative.
  static absl::StatusOr<Times> Measured(std::vector<Quantile> quantiles);

  double Draw(Random& random) const;
  double mean() const { return mean_; }

 private:
  enum class Law : std::uint8_t { kConstant, kExponential, kMeasured };
  Times(Law law, double mean) : law_(law), mean_(mean) {}

  Law law_ = Law::kConstant;
  double mean_ = 0.0;
  std::vector<Quantile> quantiles_;
};

}  // namespace orchard::bench
