#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

#include "vision/vision.h"

namespace orchard::vision {

enum class Format : std::uint8_t { kJpeg, kPng, kWebp, kBmp, kPpm };

inline constexpr std::array kAllFormats = {Format::kJpeg, Format::kPng, Format::kWebp, Format::kBmp,
                                           Format::kPpm};

/// "jpeg", "png", "webp", "bmp", "ppm".
std::string_view Name(Format format);

/// What the header says. Orientation is EXIF's, 1 to 8; 1 where there is none.
struct Header {
  Format format = Format::kJpeg;
  std::uint64_t width = 0;   ///< pixels, as stored (before the orientation)
  std::uint64_t height = 0;  ///< pixels
  int orientation = 1;
};

/// Recognises the format by the first bytes and reads the size, without decoding a pixel.
/// A further frame, profile or picture in the file is passed over; what viewers animate is refused.
/// Errors: INVALID_ARGUMENT saying what is wrong: no bytes, a format that is not ours and which, a
/// header that is cut short or contradicts itself, a size of zero, an animation of several frames.
absl::StatusOr<Header> Sniff(std::string_view bytes);

}  // namespace orchard::vision
