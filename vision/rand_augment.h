#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace orchard::vision {

/// What RandAugment chooses from, each with the same probability.
enum class Operation : std::uint8_t {
  kIdentity,
  kShearX,        ///< by up to .3
  kShearY,        ///< by up to .3
  kTranslateX,    ///< by up to 150 / 331 of the side
  kTranslateY,    ///< by up to 150 / 331 of the side
  kRotate,        ///< by up to 30 degrees
  kBrightness,    ///< times up to 1 ± .9
  kColour,        ///< saturation, times up to 1 ± .9
  kContrast,      ///< about the mean grey, times up to 1 ± .9
  kSharpness,     ///< from or towards a blurred picture, 1 ± .9
  kPosterise,     ///< keeps 8 bits down to 4
  kSolarise,      ///< inverts what is at or above 255 down to 0
  kAutoContrast,  ///< each channel stretched to its full range
  kEqualise,      ///< each channel's histogram made even
};
inline constexpr std::array kOperations = {
    Operation::kIdentity,     Operation::kShearX,    Operation::kShearY,     Operation::kTranslateX,
    Operation::kTranslateY,   Operation::kRotate,    Operation::kBrightness, Operation::kColour,
    Operation::kContrast,     Operation::kSharpness, Operation::kPosterise,  Operation::kSolarise,
    Operation::kAutoContrast, Operation::kEqualise,
};

inline constexpr double kMostMagnitude = 30.0;

/// One operation on `rgb`, [side, side, 3], in place. `strength` is the share of what the operation
/// may do, [0, 1]; `negative` its direction, where it has two. What is moved in has the mean
/// colour.
void Operate(Operation operation, double strength, bool negative, size_t side,
             std::span<std::uint8_t> rgb);

/// `operations` operations at `magnitude`, [0, kMostMagnitude], drawn with replacement, directions
/// too. Operations and ranges: Cubuk et al. 2019 (arXiv:1909.13719), as torchvision has them,
/// but bilinear and with the mean colour around.
void RandAugment(size_t operations, double magnitude, size_t side, std::mt19937_64& random,
                 std::span<std::uint8_t> rgb);

}  // namespace orchard::vision
