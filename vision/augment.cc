#include "vision/augment.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numbers>

#include "vision/internal/resample.h"

namespace orchard::vision {
namespace {

/// In [0, 1). Not std::uniform_real_distribution, whose values are the library's affair.
double Uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

double Uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * Uniform(random);
}

struct Rectangle {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

/// A random rectangle of the share [min_area, max_area] of width x height and a log-uniform aspect
/// ratio in [min_aspect, 1 / min_aspect]; after ten that stick out, the largest centre square.
Rectangle RandomRectangle(double width, double height, double min_area, double max_area,
                          double min_aspect, std::mt19937_64& random) {
  constexpr int kTries = 10;
  const double log_aspect = std::log(min_aspect);
  for (int i = 0; i < kTries; ++i) {
    const double area = Uniform(random, min_area, max_area) * width * height;
    const double aspect = std::exp(Uniform(random, log_aspect, -log_aspect));
    const double across = Uniform(random);
    const double down = Uniform(random);
    const Rectangle size{.width = std::sqrt(area * aspect), .height = std::sqrt(area / aspect)};
    if (size.width > width || size.height > height) continue;
    return {.x = across * (width - size.width),
            .y = down * (height - size.height),
            .width = size.width,
            .height = size.height};
  }
  const double side = std::min(width, height);
  return {.x = (width - side) / 2, .y = (height - side) / 2, .width = side, .height = side};
}

/// The part of `image` that a view shows, in its pixels.
Rectangle RandomCrop(const Image& image, const Augmentation& augmentation,
                     std::mt19937_64& random) {
  const auto width = static_cast<double>(image.width);
  const auto height = static_cast<double>(image.height);
  const auto draw = [&](double across, double down) {
    return RandomRectangle(across, down, augmentation.min_area, 1.0, augmentation.min_aspect,
                           random);
  };
  if (augmentation.framing == Framing::kCentreCrop) return draw(width, height);
  const Rectangle share = draw(1.0, 1.0);
  return {.x = share.x * width,
          .y = share.y * height,
          .width = share.width * width,
          .height = share.height * height};
}

/// Mirrors in the order of results, so that a flip costs nothing.
void Reverse(internal::Taps& taps) {
  const size_t results = taps.first.size();
  for (size_t i = 0; i < results / 2; ++i) {
    const size_t mirrored = results - 1 - i;
    std::swap(taps.first[i], taps.first[mirrored]);
    std::swap_ranges(taps.weight.data() + i * taps.count, taps.weight.data() + (i + 1) * taps.count,
                     taps.weight.data() + mirrored * taps.count);
  }
}

using Colour = std::array<float, 3>;

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

/// ITU-R BT.601's weights of red, green and blue in grey.
constexpr Colour kGrey = {0.299F, 0.587F, 0.114F};

/// colour → matrix · colour + offset.
struct ColourChange {
  std::array<Colour, 3> matrix = {Colour{1, 0, 0}, Colour{0, 1, 0}, Colour{0, 0, 1}};
  float offset = 0.0F;
};

ColourChange Then(const std::array<Colour, 3>& second, const ColourChange& first) {
  ColourChange both{.matrix = {}, .offset = first.offset};
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      for (size_t k = 0; k < 3; ++k) both.matrix[r][c] += second[r][k] * first.matrix[k][c];
    }
  }
  return both;
}

/// Between a colour and its grey: 0 is grey, 1 the colour.
std::array<Colour, 3> Saturation(float factor) {
  std::array<Colour, 3> matrix{};
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      matrix[r][c] = (1 - factor) * kGrey[c] + (r == c ? factor : 0.0F);
    }
  }
  return matrix;
}

/// Turns chrominance by a share of a full circle and keeps the luma: a rotation in the plane of
/// U and V (ITU-R BT.601). Exact for greys, which have no chrominance.
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

/// Brightness, contrast, saturation and hue are linear in the colour, so that all four are one
/// matrix and one pass. Always four draws, so that one setting doesn't change another's numbers.
void ChangeColours(const Augmentation& augmentation, std::mt19937_64& random,
                   std::span<std::uint8_t> rgb) {
  const auto factor = [&](double range) {
    return static_cast<float>(Uniform(random, 1.0 - range, 1.0 + range));
  };
  const float brightness = factor(augmentation.brightness);
  const float contrast = factor(augmentation.contrast);
  const float saturation = factor(augmentation.saturation);
  const double hue = Uniform(random, -augmentation.hue, augmentation.hue);
  if (brightness == 1.0F && contrast == 1.0F && saturation == 1.0F && hue == 0.0) return;
  const Colour mean = MeanColour(rgb);
  const float grey = kGrey[0] * mean[0] + kGrey[1] * mean[1] + kGrey[2] * mean[2];
  ColourChange change = Then(Hue(hue), Then(Saturation(saturation), ColourChange{}));
  for (Colour& row : change.matrix) {
    for (float& entry : row) entry *= brightness * contrast;
  }
  // About the mean grey of the brightened picture; saturation and hue leave greys alone.
  change.offset = (1 - contrast) * brightness * grey;
  Apply(change, rgb);
}

void Erase(size_t side, std::mt19937_64& random, std::span<std::uint8_t> rgb) {
  constexpr double kMinArea = 0.02;
  constexpr double kMaxArea = 0.2;
  constexpr double kMinAspect = 0.3;
  const auto length = static_cast<double>(side);
  const Rectangle hole = RandomRectangle(length, length, kMinArea, kMaxArea, kMinAspect, random);
  const Colour mean = MeanColour(rgb);
  std::array<std::uint8_t, 3> fill{};
  for (size_t c = 0; c < 3; ++c) fill[c] = static_cast<std::uint8_t>(std::lround(mean[c]));
  const auto left = static_cast<size_t>(hole.x);
  const auto top = static_cast<size_t>(hole.y);
  const auto right = std::min(side, static_cast<size_t>(std::lround(hole.x + hole.width)));
  const auto bottom = std::min(side, static_cast<size_t>(std::lround(hole.y + hole.height)));
  for (size_t y = top; y < bottom; ++y) {
    for (size_t x = left; x < right; ++x) {
      std::ranges::copy(fill, rgb.begin() + static_cast<std::ptrdiff_t>((y * side + x) * 3));
    }
  }
}

}  // namespace

void Augment(const Image& image, const Augmentation& augmentation, size_t side,
             std::mt19937_64& random, std::span<std::uint8_t> out) {
  assert(out.size() == side * side * 3);
  const Rectangle crop = RandomCrop(image, augmentation, random);
  internal::Taps horizontal = internal::MakeTaps(image.width, crop.x, crop.width, side, 0, side);
  internal::Taps vertical = internal::MakeTaps(image.height, crop.y, crop.height, side, 0, side);
  if (Uniform(random) < augmentation.horizontal_flip) Reverse(horizontal);
  if (Uniform(random) < augmentation.vertical_flip) Reverse(vertical);
  internal::Resample(image.rgb, image.width, horizontal, vertical, out);
  ChangeColours(augmentation, random, out);
  if (Uniform(random) < augmentation.erasing) Erase(side, random, out);
}

}  // namespace orchard::vision
