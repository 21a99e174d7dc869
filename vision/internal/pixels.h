#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include <opencv2/core.hpp>

#include "vision/decode.h"
#include "vision/internal/container.h"

/// \file
/// Steps of decoding that work on pixels: CV_8UC3 without gaps between rows, in OpenCV's order of
/// blue, green, red.

namespace orchard::vision::internal {

/// Decode(), before red and blue are swapped: whoever shrinks the picture swaps afterwards, when
/// there is less to swap.
absl::StatusOr<cv::Mat> DecodeBgr(std::string_view bytes, const Limits& limits, size_t enough);

/// The bytes of a picture, [rows, cols, 3].
inline std::span<const std::uint8_t> Bytes(const cv::Mat& pixels) {
  return {pixels.data, pixels.total() * 3};
}

/// BGR ↔ RGB; `to` may be `from`.
void SwapRedBlue(std::span<const std::uint8_t> from, std::span<std::uint8_t> to);

/// Turns and mirrors a picture as EXIF's orientation (1 to 8) asks for.
cv::Mat Orient(const cv::Mat& pixels, int orientation);

/// PPM's pixels, whose decoding is a loop: OpenCV's decoder doesn't stretch a white below 255.
/// `container.whole` must be OK.
cv::Mat ReadPpmPixels(std::string_view bytes, const Container& container);

}  // namespace orchard::vision::internal
