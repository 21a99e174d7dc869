#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "vision/vision.h"

namespace orchard::vision {

/// Random changes of a training picture; all zeros: the largest centre square, or the whole
/// picture.
struct Augmentation {
  double min_area = 1.0;         ///< random resized crop: share of the area, [min_area, 1]
  double min_aspect = 1.0;       ///< its aspect ratio, [min_aspect, 1 / min_aspect]
  double horizontal_flip = 0.0;  ///< probability
  double vertical_flip = 0.0;    ///< probability
  double brightness = 0.0;       ///< factor in [1 - x, 1 + x]
  double contrast = 0.0;         ///< factor in [1 - x, 1 + x], about the mean grey
  double saturation = 0.0;       ///< factor in [1 - x, 1 + x]
  double hue = 0.0;              ///< turns in [-x, x]
  double erasing =
      0.0;  ///< probability of one rectangle (2 to 20 % of the area) in the mean colour
  /// What the encoder will see when it serves. kWholePicture: crops have the aspect of the picture
  /// times the drawn one, as if the picture had been squeezed into a square before.
  Framing framing = Framing::kCentreCrop;
};

/// One random view of `image`, [side, side, 3] into `out`. Every random number comes from `random`,
/// so that a seed gives the same picture again. Source of the crop: Szegedy et al. 2015
/// (arXiv:1409.4842); of erasing: Zhong et al. 2017 (arXiv:1708.04896).
void Augment(const Image& image, const Augmentation& augmentation, size_t side,
             std::mt19937_64& random, std::span<std::uint8_t> out);

}  // namespace orchard::vision
