#include "vision/internal/colour.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace orchard::vision::internal {

Colour MeanColour(std::span<const std::uint8_t> rgb) {
  std::array<std::uint64_t, 3> sums{};
  for (size_t i = 0; i < rgb.size(); i += 3) {
    for (size_t c = 0; c < 3; ++c) sums[c] += rgb[i + c];
  }
  const size_t count = rgb.size() / 3;
  const auto pixels = static_cast<float>(count);
  return {static_cast<float>(sums[0]) / pixels, static_cast<float>(sums[1]) / pixels,
          static_cast<float>(sums[2]) / pixels};
}

ColourChange Then(const std::array<Colour, 3>& second, const ColourChange& first) {
  ColourChange both{.matrix = {}, .offset = first.offset};
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      for (size_t k = 0; k < 3; ++k) both.matrix[r][c] += second[r][k] * first.matrix[k][c];
    }
  }
  return both;
}

void Scale(ColourChange& change, float factor, float offset) {
  for (Colour& row : change.matrix) {
    for (float& entry : row) entry *= factor;
  }
  change.offset = offset;
}

std::array<Colour, 3> Saturation(float factor) {
  std::array<Colour, 3> matrix{};
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      matrix[r][c] = (1 - factor) * kGrey[c] + (r == c ? factor : 0.0F);
    }
  }
  return matrix;
}

std::array<Colour, 3> Hue(double turns) {
  constexpr float kU = 0.492F;  // U = kU (blue - luma)
  constexpr float kV = 0.877F;  // V = kV (red - luma)
  const auto cosine = static_cast<float>(std::cos(2 * std::numbers::pi * turns));
  const auto sine = static_cast<float>(std::sin(2 * std::numbers::pi * turns));
  std::array<Colour, 3> matrix{};
  for (size_t c = 0; c < 3; ++c) {  // What becomes of pure red, green and blue: the columns.
    const float luma = kGrey[c];
    const float u = kU * ((c == 2 ? 1.0F : 0.0F) - luma);
    const float v = kV * ((c == 0 ? 1.0F : 0.0F) - luma);
    const float red = (sine * u + cosine * v) / kV;
    const float blue = (cosine * u - sine * v) / kU;
    const float green = -(kGrey[0] * red + kGrey[2] * blue) / kGrey[1];
    matrix[0][c] = luma + red;
    matrix[1][c] = luma + green;
    matrix[2][c] = luma + blue;
  }
  return matrix;
}

void Apply(const ColourChange& change, std::span<std::uint8_t> rgb) {
  for (size_t i = 0; i < rgb.size(); i += 3) {
    const Colour in = {static_cast<float>(rgb[i]), static_cast<float>(rgb[i + 1]),
                       static_cast<float>(rgb[i + 2])};
    for (size_t c = 0; c < 3; ++c) {
      const Colour& row = change.matrix[c];
      const float value = row[0] * in[0] + row[1] * in[1] + row[2] * in[2] + change.offset;
      const float byte = std::clamp(value, 0.0F, 255.0F);
      // Not negative, so this rounds rightly; lround would be a call a byte.
      rgb[i + c] = static_cast<std::uint8_t>(byte + 0.5F);  // NOLINT(bugprone-incorrect-roundings)
    }
  }
}

}  // namespace orchard::vision::internal
