#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "vision/vision.h"

namespace orchard::vision {

/// Random changes of a training picture; all zeros: the largest centre square, or the whole
/// picture.
struct Augmentation {
  double min_area = 1.0;           ///< random resized crop: share of the area, [min_area, 1]
  double min_aspect = 1.0;         ///< its aspect ratio, [min_aspect, 1 / min_aspect]
  double horizontal_flip = 0.0;    ///< probability
  double vertical_flip = 0.0;      ///< probability
  double brightness = 0.0;         ///< factor in [1 - x, 1 + x]
  double contrast = 0.0;           ///< factor in [1 - x, 1 + x], about the mean grey
  double saturation = 0.0;         ///< factor in [1 - x, 1 + x]
  double hue = 0.0;                ///< turns in [-x, x]
  double erasing = 0.0;            ///< probability of one rectangle in the mean colour
  double erasing_min_area = 0.02;  ///< its share of the view
  double erasing_max_area = 0.2;
  size_t operations = 0;   ///< of RandAugment (rand_augment.h)
  double magnitude = 0.0;  ///< its, [0, 30]
  size_t pad = 0;          ///< the view is moved by up to so many pixels, mirrored at its edge
  double rotation = 0.0;   ///< degrees in [-x, x]; corners in the mean colour
  double jpeg = 0.0;       ///< probability that the picture goes through JPEG first
  int jpeg_quality = 75;   ///< 1 to 100
  /// What the encoder will see when it serves. kWholePicture: crops have the aspect of the picture
  /// times the drawn one, as if the picture had been squeezed into a square before.
  Framing framing = Framing::kCentreCrop;
};

/// Whether a view was mirrored: where left and right mean something, its label changes too.
struct Mirrored {
  bool left_right = false;
  bool up_down = false;
};

/// One random view of `image`, [side, side, 3] into `out`. In this order: JPEG, crop and flips,
/// RandAugment, move, colours, rotation, erasing. Every random number comes from `random`, so that
/// a seed gives the same picture again; none of the settings changes the numbers of another. Source
/// of the crop: Szegedy et al. 2015 (arXiv:1409.4842); of erasing: Zhong et al. 2017
/// (arXiv:1708.04896).
Mirrored Augment(const Image& image, const Augmentation& augmentation, size_t side,
                 std::mt19937_64& random, std::span<std::uint8_t> out);

}  // namespace orchard::vision
