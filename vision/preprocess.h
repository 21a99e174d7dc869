#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

#include "vision/decode.h"
#include "vision/vision.h"

namespace orchard::vision {

/// Resizes so that the shorter side is `profile.shorter_side` (bilinear, antialiased when it
/// shrinks; the longer side rounded down, at least as long), then cuts the centre square of
/// `profile.crop` pixels. Writes [crop, crop, 3] to `out`, whose size must be crop * crop * 3.
void ResizeAndCrop(const Image& image, const Profile& profile, std::span<std::uint8_t> out);

/// The whole picture with its shorter side at most `shorter_side` pixels, by the same filter; a
/// smaller picture is returned as it is.
Image ShrinkTo(Image image, size_t shorter_side);

/// Decode and ResizeAndCrop: what serving and evaluation do with every picture.
absl::Status DecodeForEncoder(std::string_view bytes, const Limits& limits, const Profile& profile,
                              std::span<std::uint8_t> out);

}  // namespace orchard::vision
