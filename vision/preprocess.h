#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "vision/decode.h"
#include "vision/vision.h"

namespace orchard::vision {

/// The encoder's view of a picture, [crop, crop, 3] into `out`, whose size must be crop * crop * 3;
/// bilinear, antialiased where it shrinks.
/// kCentreCrop: the shorter side becomes `profile.shorter_side` (the longer side rounded down, at
/// least as long), then the centre square of `profile.crop` pixels is cut out.
/// kWholePicture: both sides become `profile.crop`. Throws std::bad_alloc.
void FitToEncoder(const Image& image, const Profile& profile, std::span<std::uint8_t> out);

/// The same in memory of its own, as serving has it. Throws nothing: RESOURCE_EXHAUSTED without
/// memory.
absl::StatusOr<std::vector<std::uint8_t>> Fit(const Image& image, const Profile& profile);

/// The whole picture with its shorter side at most `shorter_side` pixels, by the same filter; a
/// smaller picture is returned as it is.
Image ShrinkTo(Image image, size_t shorter_side);

/// A part of a picture, in its pixels, which may be cut.
struct Area {
  double left = 0.0;
  double top = 0.0;
  double width = 0.0;   ///< above 0
  double height = 0.0;  ///< above 0
};

/// `area`, which must lie inside the picture, resized to columns × rows by the same filter.
Image CutOut(const Image& image, const Area& area, size_t columns, size_t rows);

/// Decode and FitToEncoder: what serving and evaluation do with every picture.
absl::Status DecodeForEncoder(std::string_view bytes, const Limits& limits, const Profile& profile,
                              std::span<std::uint8_t> out);

}  // namespace orchard::vision
