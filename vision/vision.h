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
///   preprocess.h (to the encoder's size); for training only: augment.h, rand_augment.h,
///   recompress.h, weather.h.
/// Conventions: pictures are NHWC, row-major, RGB, one byte a channel.

namespace orchard::vision {

/// A decoded picture.
struct Image {
  size_t width = 0;               ///< pixels
  size_t height = 0;              ///< pixels
  std::vector<std::uint8_t> rgb;  ///< [height, width, 3]
};

/// What of a picture the encoder sees; v1::Framing says what each means.
enum class Framing : std::uint8_t { kCentreCrop, kWholePicture };

/// From a decoded picture to the encoder's input; a copy of v1::Preprocessing's geometry.
struct Profile {
  size_t shorter_side = 256;  ///< pixels after the resize; `crop` where the whole picture is seen
  size_t crop = 224;          ///< pixels, side of the encoder's square input
  Framing framing = Framing::kCentreCrop;
};

}  // namespace orchard::vision
