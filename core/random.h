#pragma once

#include <cstdint>
#include <random>

namespace orchard::core {

/// A number from the system, for names of processes: slow, and never the same again.
inline std::uint64_t Random64() {
  std::random_device random;
  return (std::uint64_t{random()} << 32) | random();
}

/// The next number in [0, 1). Not std::uniform_real_distribution, whose values are the library's
/// affair: a seed means the same numbers everywhere.
inline double Uniform(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

}  // namespace orchard::core
