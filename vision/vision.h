#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// \file
/// Pixels: bytes → an 8-bit RGB picture of the encoder's size, the same routine in training and
/// serving. Pure: no clock, no threads, no LibTorch. Read in this order:
///   sniff.h (which format, how large, from the header alone), decode.h (bytes → pixels),
///   preprocess.h (resize and crop), augment.h (training only).
/// Conventions: pictures are NHWC, row-major, RGB, one byte a channel.

namespace orchard::vision {

/// A decoded picture.
struct Image {
  size_t width = 0;               ///< pixels
  size_t height = 0;              ///< pixels
  std::vector<std::uint8_t> rgb;  ///< [height, width, 3]
};

/// From a decoded picture to the encoder's input; a copy of v1::Preprocessing's sizes.
struct Profile {
  size_t shorter_side = 256;  ///< pixels after the resize
  size_t crop = 224;          ///< pixels, side of the centre crop
};

}  // namespace orchard::vision
