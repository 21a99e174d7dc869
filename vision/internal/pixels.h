#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

#include "vision/decode.h"
#include "vision/internal/container.h"
#include "vision/vision.h"

/// \file
/// Steps of decoding that work on pixels. Three interleaved bytes a pixel, in either order.

namespace orchard::vision::internal {

/// Decode(), but the bytes of a pixel are blue, green, red: the order in which OpenCV gives them.
/// Whoever shrinks the picture swaps afterwards, when there is less to swap.
absl::StatusOr<Image> DecodeBgr(std::string_view bytes, const Limits& limits, size_t enough);

/// BGR ↔ RGB, in place.
void SwapRedBlue(std::span<std::uint8_t> pixels);

/// Turns and mirrors a picture as EXIF's orientation (1 to 8) asks for.
Image Orient(Image image, int orientation);

/// PPM's pixels, whose decoding is a loop: OpenCV's decoder doesn't stretch a white below 255.
/// `container.whole` must be OK.
Image ReadPpmPixels(std::string_view bytes, const Container& container);

}  // namespace orchard::vision::internal
