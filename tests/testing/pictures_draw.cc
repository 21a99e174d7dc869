#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>

#include "tests/testing/pictures.h"

namespace orchard::testing {
namespace {

using vision::Image;
using Colour = std::array<double, 3>;

Image Canvas(size_t width, size_t height) {
  return {.width = width, .height = height, .rgb = std::vector<std::uint8_t>(width * height * 3)};
}

double Uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
}

/// Paints pixel (x, y), weight 1 replacing what is there.
void Blend(Image& image, size_t x, size_t y, const Colour& colour, double weight) {
  std::uint8_t* pixel = image.rgb.data() + (y * image.width + x) * 3;
  for (size_t c = 0; c < 3; ++c) {
    const double value = pixel[c] + (colour[c] - pixel[c]) * weight;
    pixel[c] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0) + 0.5);
  }
}

struct Ellipse {
  double x = 0.0, y = 0.0;             // centre, pixels
  double length = 1.0, breadth = 1.0;  // half axes, pixels
  double angle = 0.0;                  // radians
};

/// Calls paint(x, y, u, v) for the pixels inside; u runs along the ellipse and v across, in [-1,
/// 1].
template <typename Paint>
void ForEachInside(const Image& image, const Ellipse& e, Paint paint) {
  const double reach = std::max(e.length, e.breadth);
  const auto low = [](double at) { return static_cast<size_t>(std::max(0.0, std::floor(at))); };
  const size_t right = std::min(image.width, low(e.x + reach) + 1);
  const size_t bottom = std::min(image.height, low(e.y + reach) + 1);
  for (size_t y = low(e.y - reach); y < bottom; ++y) {
    for (size_t x = low(e.x - reach); x < right; ++x) {
      const double dx = static_cast<double>(x) + 0.5 - e.x;
      const double dy = static_cast<double>(y) + 0.5 - e.y;
      const double u = (dx * std::cos(e.angle) + dy * std::sin(e.angle)) / e.length;
      const double v = (dy * std::cos(e.angle) - dx * std::sin(e.angle)) / e.breadth;
      if (u * u + v * v <= 1.0) paint(x, y, u, v);
    }
  }
}

void Ground(Image& image, const Colour& colour, double noise, std::mt19937_64& random) {
  for (size_t y = 0; y < image.height; ++y) {
    for (size_t x = 0; x < image.width; ++x) {
      const double shade = Uniform(random, -noise, noise);
      Blend(image, x, y, {colour[0] + shade, colour[1] + shade, colour[2] + shade}, 1.0);
    }
  }
}

}  // namespace

Image DrawLeaf(size_t width, size_t height, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Image image = Canvas(width, height);
  Ground(image, {112, 86, 60}, 18, random);
  const double size = static_cast<double>(std::min(width, height));
  const Ellipse leaf{.x = static_cast<double>(width) / 2,
                     .y = static_cast<double>(height) / 2,
                     .length = 0.46 * size,
                     .breadth = Uniform(random, 0.22, 0.34) * size,
                     .angle = Uniform(random, 0, std::numbers::pi)};
  const Colour green = {Uniform(random, 40, 80), Uniform(random, 120, 170),
                        Uniform(random, 30, 60)};
  ForEachInside(image, leaf, [&](size_t x, size_t y, double u, double v) {
    Blend(image, x, y, green, 1.0 - 0.4 * (u * u + v * v));
    const double side_vein = std::abs(std::sin(12 * (u + 0.6 * std::abs(v))));
    if (std::abs(v) < 0.05 || side_vein < 0.12) Blend(image, x, y, {190, 210, 140}, 0.5);
  });
  const auto spots = random() % 8;
  for (std::uint64_t i = 0; i < spots; ++i) {
    const double along = Uniform(random, -0.6, 0.6) * leaf.length;
    const double radius = Uniform(random, 0.02, 0.06) * size;
    const Ellipse spot{.x = leaf.x + along * std::cos(leaf.angle),
                       .y = leaf.y + along * std::sin(leaf.angle),
                       .length = radius,
                       .breadth = radius};
    ForEachInside(image, spot, [&](size_t x, size_t y, double u, double v) {
      Blend(image, x, y, {96, 54, 20}, 1.0 - 0.6 * (u * u + v * v));
    });
  }
  return image;
}

Image DrawGrains(size_t width, size_t height, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Image image = Canvas(width, height);
  Ground(image, {24, 24, 32}, 8, random);
  const double size = static_cast<double>(std::min(width, height));
  for (int i = 0; i < 40; ++i) {
    const double length = Uniform(random, 0.05, 0.08) * size;
    const double light = Uniform(random, 190, 245);
    const Ellipse grain{.x = Uniform(random, 0, static_cast<double>(width)),
                        .y = Uniform(random, 0, static_cast<double>(height)),
                        .length = length,
                        .breadth = length / 3,
                        .angle = Uniform(random, 0, std::numbers::pi)};
    ForEachInside(image, grain, [&](size_t x, size_t y, double, double v) {
      Blend(image, x, y, {light, light - 6, light - 30}, 1.0 - 0.3 * v * v);
    });
  }
  return image;
}

Image DrawGradient(size_t width, size_t height) {
  Image image = Canvas(width, height);
  const size_t last_x = std::max<size_t>(1, width - 1);
  const size_t last_y = std::max<size_t>(1, height - 1);
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.rgb.data() + (y * width + x) * 3;
      pixel[0] = static_cast<std::uint8_t>(255 * x / last_x);
      pixel[1] = static_cast<std::uint8_t>(255 * y / last_y);
      pixel[2] = static_cast<std::uint8_t>((255 * x / last_x + 255 * y / last_y) / 2);
    }
  }
  return image;
}

Image DrawPlain(size_t width, size_t height, std::uint8_t red, std::uint8_t green,
                std::uint8_t blue) {
  Image image = Canvas(width, height);
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    image.rgb[i] = red;
    image.rgb[i + 1] = green;
    image.rgb[i + 2] = blue;
  }
  return image;
}

}  // namespace orchard::testing
