#include "vision/internal/warp.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace orchard::vision::internal {

Affine Rotation(double turns) {
  const double cosine = std::cos(2 * std::numbers::pi * turns);
  const double sine = std::sin(2 * std::numbers::pi * turns);
  return {.xx = cosine, .xy = sine, .dx = 0.0, .yx = -sine, .yy = cosine, .dy = 0.0};
}

void Warp(const Affine& from, const Colour& fill, size_t side, std::span<std::uint8_t> rgb) {
  assert(rgb.size() == side * side * 3);
  // With a frame of two pixels of the fill about it, whose inner one is reached by blending, no
  // pixel needs to ask what lies outside.
  const size_t wide = side + 4;
  std::vector<float> source(wide * wide * 3);
  for (size_t i = 0; i < source.size(); i += 3) std::memcpy(&source[i], fill.data(), sizeof(fill));
  for (size_t y = 0; y < side; ++y) {
    for (size_t k = 0; k < side * 3; ++k) {
      source[((y + 2) * wide + 2) * 3 + k] = static_cast<float>(rgb[y * side * 3 + k]);
    }
  }
  const double centre = (static_cast<double>(side) - 1) / 2;
  const auto last = static_cast<double>(side) + 1;
  std::uint8_t* out = rgb.data();
  for (size_t row = 0; row < side; ++row) {
    const double down = static_cast<double>(row) - centre;
    for (size_t column = 0; column < side; ++column, out += 3) {
      const double across = static_cast<double>(column) - centre;
      // In the framed picture, where the first pixel is at 2.
      const double x = from.xx * across + from.xy * down + from.dx + centre;
      const double y = from.yx * across + from.yy * down + from.dy + centre;
      const double fx = std::min(std::max(x, -2.0), last - 0.001) + 2;
      const double fy = std::min(std::max(y, -2.0), last - 0.001) + 2;
      const auto left = static_cast<size_t>(fx);
      const auto top = static_cast<size_t>(fy);
      const auto right_share = static_cast<float>(fx - static_cast<double>(left));
      const auto lower_share = static_cast<float>(fy - static_cast<double>(top));
      const float* upper = &source[(top * wide + left) * 3];
      const float* lower = upper + wide * 3;
      for (size_t c = 0; c < 3; ++c) {
        const float a = upper[c] + (upper[c + 3] - upper[c]) * right_share;
        const float b = lower[c] + (lower[c + 3] - lower[c]) * right_share;
        // Between bytes, so this rounds rightly. NOLINTNEXTLINE(bugprone-incorrect-roundings)
        out[c] = static_cast<std::uint8_t>(a + (b - a) * lower_share + 0.5F);
      }
    }
  }
}

}  // namespace orchard::vision::internal
