#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vision/internal/colour.h"

/// \file
/// Turning, shearing and shifting small square pictures. For training views: it looks at four
/// pixels, which is enough where nothing shrinks.

namespace orchard::vision::internal {

/// Where a result's pixel comes from, both counted in pixels from the picture's centre:
/// x = xx · x' + xy · y' + dx, y = yx · x' + yy · y' + dy.
struct Affine {
  double xx = 1.0;
  double xy = 0.0;
  double dx = 0.0;
  double yx = 0.0;
  double yy = 1.0;
  double dy = 0.0;
};

/// By a share of a full circle, clockwise.
Affine Rotation(double turns);

/// In place, bilinear; `rgb` is [side, side, 3]. What lies outside of the picture has the colour
/// `fill`.
void Warp(const Affine& from, const Colour& fill, size_t side, std::span<std::uint8_t> rgb);

}  // namespace orchard::vision::internal
