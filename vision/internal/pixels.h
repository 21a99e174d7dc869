#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include <opencv2/core.hpp>

#include "vision/decode.h"
#include "vision/internal/container.h"

/// \file
/// Steps of decoding that work on pixels.

namespace orchard::vision::internal {

/// A decoded picture.
struct Pixels {
  cv::Mat mat;      ///< CV_8UC3 without gaps between rows
  bool bgr = true;  ///< OpenCV's order of blue, green, red; false: red, green, blue
};

/// Decode(), before red and blue are swapped: whoever shrinks the picture swaps afterwards, when
/// there is less to swap. JPEGs come as RGB. `after`: what the caller is about to do.
absl::StatusOr<Pixels> DecodePixels(std::string_view bytes, const Limits& limits, size_t enough,
                                    After after);

/// The bytes of a picture, [rows, cols, 3].
inline std::span<const std::uint8_t> Bytes(const cv::Mat& pixels) {
  return {pixels.data, pixels.total() * 3};
}

/// BGR ↔ RGB, in place.
void SwapRedBlue(std::span<std::uint8_t> bytes);

/// Turns and mirrors a picture as EXIF's orientation (1 to 8) asks for.
cv::Mat Orient(const cv::Mat& pixels, int orientation);

/// JPEG's pixels, RGB, at the smallest DCT scale whose shorter side is at least `enough` pixels
/// (0: full size), by libjpeg. `container` is the one that the limits were applied to.
/// Errors: INVALID_ARGUMENT for what libjpeg can't decode, damaged data included, as far as they
/// can be told: JPEG has no checksum. RESOURCE_EXHAUSTED. Nothing goes to stderr.
absl::StatusOr<cv::Mat> ReadJpegPixels(std::string_view bytes, const Container& container,
                                       size_t enough);

/// PPM's pixels, BGR, whose decoding is a loop: OpenCV's decoder doesn't stretch a white below 255.
/// `container.whole` must be OK.
cv::Mat ReadPpmPixels(std::string_view bytes, const Container& container);

}  // namespace orchard::vision::internal
