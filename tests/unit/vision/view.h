#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "vision/augment.h"

namespace orchard::vision {

using Bytes = std::vector<std::uint8_t>;

inline constexpr size_t kSide = 32;  ///< of the views, pixels

/// The view of a seed, [kSide, kSide, 3].
inline Bytes View(const Image& image, const Augmentation& augmentation, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes out(kSide * kSide * 3);
  Augment(image, augmentation, kSide, random, out);
  return out;
}

}  // namespace orchard::vision
