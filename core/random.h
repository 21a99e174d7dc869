#pragma once

#include <cstdint>
#include <random>

namespace orchard::core {

/// A number from the system, for names of processes: slow, and never the same again.
inline std::uint64_t Random64() {
  std::random_device random;
  return (std::uint64_t{random()} << 32) | random();
}

}  // namespace orchard::core
