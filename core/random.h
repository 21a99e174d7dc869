#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

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

/// Puts `values` in a random order (Fisher and Yates). Not std::shuffle, for the same reason.
template <typename Value>
void Shuffle(std::vector<Value>& values, std::mt19937_64& random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

}  // namespace orchard::core
