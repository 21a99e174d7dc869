#include <algorithm>
#include <cstddef>
#include <utility>

#include "vision/internal/pixels.h"

namespace orchard::vision::internal {
namespace {

// Turned pictures are copied in squares of this side, so that the columns read stay in the cache.
constexpr int kTile = 32;

/// Copies the rows and columns of one tile; a step to the right in the result is `right` bytes in
/// the source, a step down is `down` bytes.
void CopyTile(const std::uint8_t* source, std::ptrdiff_t right, std::ptrdiff_t down,
              std::uint8_t* target, std::ptrdiff_t target_row, int columns, int rows) {
  for (int y = 0; y < rows; ++y) {
    const std::uint8_t* from = source + y * down;
    std::uint8_t* to = target + y * target_row;
    for (int x = 0; x < columns; ++x, from += right, to += 3) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
}

}  // namespace

cv::Mat Orient(const cv::Mat& pixels, int orientation) {
  if (orientation <= 1 || orientation > 8) return pixels;
  // What the eight values mean: mirror left-right, mirror top-bottom, swap the axes (last).
  const bool swap_axes = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const std::ptrdiff_t pixel = 3;
  const std::ptrdiff_t row = pixels.cols * pixel;
  const std::uint8_t* origin = pixels.data;
  if (from_right) origin += row - pixel;
  if (from_bottom) origin += (pixels.rows - 1) * row;
  std::ptrdiff_t right = from_right ? -pixel : pixel;
  std::ptrdiff_t down = from_bottom ? -row : row;
  cv::Size size = pixels.size();
  if (swap_axes) {
    std::swap(right, down);
    std::swap(size.width, size.height);
  }
  cv::Mat turned(size, CV_8UC3);
  for (int y = 0; y < size.height; y += kTile) {
    for (int x = 0; x < size.width; x += kTile) {
      CopyTile(origin + y * down + x * right, right, down, turned.ptr(y, x), size.width * pixel,
               std::min(kTile, size.width - x), std::min(kTile, size.height - y));
    }
  }
  return turned;
}

}  // namespace orchard::vision::internal
