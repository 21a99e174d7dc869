#include <algorithm>
#include <cstddef>
#include <utility>

#include "vision/internal/pixels.h"

namespace orchard::vision::internal {
namespace {

// Turned pictures are copied in squares of this side, so that the columns read stay in the cache.
constexpr size_t kTile = 32;

/// Copies the rows and columns of one tile; a step to the right in the result is `right` bytes in
/// the source, a step down is `down` bytes.
void CopyTile(const std::uint8_t* source, std::ptrdiff_t right, std::ptrdiff_t down,
              std::uint8_t* target, size_t target_row, size_t columns, size_t rows) {
  for (size_t y = 0; y < rows; ++y) {
    const std::uint8_t* from = source + static_cast<std::ptrdiff_t>(y) * down;
    std::uint8_t* to = target + y * target_row;
    for (size_t x = 0; x < columns; ++x, from += right, to += 3) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
}

}  // namespace

Image Orient(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // What the eight values mean: mirror left-right, mirror top-bottom, swap the axes (last).
  const bool swap_axes = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const auto pixel = std::ptrdiff_t{3};
  const auto row = static_cast<std::ptrdiff_t>(image.width) * pixel;
  const std::uint8_t* origin = image.rgb.data();
  if (from_right) origin += row - pixel;
  if (from_bottom) origin += static_cast<std::ptrdiff_t>(image.height - 1) * row;
  std::ptrdiff_t right = from_right ? -pixel : pixel;
  std::ptrdiff_t down = from_bottom ? -row : row;
  Image turned{.width = image.width, .height = image.height, .rgb = {}};
  if (swap_axes) {
    std::swap(right, down);
    std::swap(turned.width, turned.height);
  }
  turned.rgb.resize(image.rgb.size());
  for (size_t y = 0; y < turned.height; y += kTile) {
    for (size_t x = 0; x < turned.width; x += kTile) {
      const std::uint8_t* from =
          origin + static_cast<std::ptrdiff_t>(y) * down + static_cast<std::ptrdiff_t>(x) * right;
      CopyTile(from, right, down, turned.rgb.data() + (y * turned.width + x) * 3, turned.width * 3,
               std::min(kTile, turned.width - x), std::min(kTile, turned.height - y));
    }
  }
  return turned;
}

}  // namespace orchard::vision::internal
