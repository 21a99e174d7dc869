#include "vision/weather.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/random.h"

namespace orchard::vision {
namespace {

using core::Uniform;

template <typename Value>
using BySeverity = std::array<Value, kMostSeverity>;

double Uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * Uniform(random);
}

/// Values from 0 to 1, [side, side, channels].
struct Canvas {
  size_t side = 0;
  size_t channels = 1;
  std::vector<float> values;
};

Canvas Empty(size_t side) {
  return {.side = side, .channels = 1, .values = std::vector<float>(side * side)};
}

/// Makes the pixel at (x, y) at least `value`; outside of the canvas nothing.
void Raise(Canvas& canvas, std::int64_t x, std::int64_t y, float value) {
  const auto side = static_cast<std::int64_t>(canvas.side);
  if (x < 0 || y < 0 || x >= side || y >= side) return;
  float& at = canvas.values[static_cast<size_t>(y * side + x)];
  at = std::max(at, value);
}

/// Each value gives `across` of itself to both neighbours of its row, then `down` to those of its
/// column. Beyond an edge is the edge.
void Blur(float across, float down, Canvas& canvas) {
  const size_t side = canvas.side;
  const size_t channels = canvas.channels;
  const auto pass = [&](size_t dx, size_t dy, float share) {
    if (share == 0.0F) return;
    const std::vector<float> from = canvas.values;
    for (size_t y = 0; y < side; ++y) {
      for (size_t x = 0; x < side; ++x) {
        const size_t here = (y * side + x) * channels;
        const size_t before = ((y - std::min(y, dy)) * side + x - std::min(x, dx)) * channels;
        const size_t after =
            (std::min(y + dy, side - 1) * side + std::min(x + dx, side - 1)) * channels;
        for (size_t c = 0; c < channels; ++c) {
          const float apart = from[before + c] - 2.0F * from[here + c] + from[after + c];
          canvas.values[here + c] = from[here + c] + share * apart;
        }
      }
    }
  };
  pass(1, 0, across);
  pass(0, 1, down);
}

/// Calls `draw(x, y)` with the middles of the pixels that a sparse noise falls on.
template <typename Draw>
void Scatter(double density, size_t side, std::mt19937_64& random, const Draw& draw) {
  for (size_t y = 0; y < side; ++y) {
    for (size_t x = 0; x < side; ++x) {
      if (!(Uniform(random) < density)) continue;
      draw(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5);
    }
  }
}

std::int64_t PixelOf(double place) { return static_cast<std::int64_t>(std::floor(place)); }

/// A drop leaves a streak of full strength. A mean over the streak's length, as a filter would take
/// it, would leave a ninth of a drop, and least of it in the worst rain.
void Rain(size_t severity, std::mt19937_64& random, Canvas& picture) {
  constexpr BySeverity<double> kDensity = {0.005, 0.01, 0.02};
  constexpr BySeverity<double> kLength = {5.0, 7.0, 9.0};
  constexpr double kSteepest = 110.0 / 360.0;  // Turns from the horizontal; .25 is straight down.
  constexpr double kFlattest = 70.0 / 360.0;
  constexpr double kStep = 0.5;  // Pixels: no pixel on the way is missed.
  constexpr float kStrength = 0.6F;
  constexpr float kBlur = 0.125F;
  const double angle = 2.0 * std::numbers::pi * Uniform(random, kFlattest, kSteepest);
  const double half = kLength[severity] / 2.0;
  Canvas streaks = Empty(picture.side);
  Scatter(kDensity[severity], picture.side, random, [&](double x, double y) {
    const auto steps = static_cast<int>(2.0 * half / kStep);
    for (int i = 0; i < steps; ++i) {
      const double along = kStep * static_cast<double>(i) - half + kStep / 2.0;
      Raise(streaks, PixelOf(x + along * std::cos(angle)), PixelOf(y + along * std::sin(angle)),
            1.0F);
    }
  });
  for (size_t i = 0; i < picture.values.size(); ++i) {
    const float streak = kStrength * streaks.values[i / picture.channels];
    picture.values[i] = std::min(picture.values[i] + streak, 1.0F);
  }
  Blur(kBlur, kBlur, picture);
}

void Fog(size_t severity, std::mt19937_64& random, Canvas& picture) {
  constexpr BySeverity<double> kThickness = {0.6, 1.2, 2.0};
  constexpr double kGradient = 0.3;  // From the picture's lower edge to its upper one.
  const double light = Uniform(random, 0.75, 0.95);
  const size_t row = picture.side * picture.channels;
  for (size_t y = 0; y < picture.side; ++y) {
    const double height = 0.5 - (static_cast<double>(y) + 0.5) / static_cast<double>(picture.side);
    const double through = std::exp(-(kThickness[severity] + kGradient * height));
    const auto kept = static_cast<float>(through);
    const auto added = static_cast<float>(light * (1.0 - through));
    for (size_t i = y * row; i < (y + 1) * row; ++i) {
      picture.values[i] = picture.values[i] * kept + added;
    }
  }
}

void Snow(size_t severity, std::mt19937_64& random, Canvas& picture) {
  constexpr BySeverity<double> kDensity = {0.01, 0.02, 0.04};
  constexpr double kSmallest = 0.5;  // Radius, pixels.
  constexpr double kLargest = 1.5;
  constexpr int kReach = 2;       // Pixels on each side that a flake may touch.
  constexpr float kFall = 0.25F;  // Flakes are blurred along their way down alone.
  constexpr float kLift = 0.1F;
  Canvas flakes = Empty(picture.side);
  Scatter(kDensity[severity], picture.side, random, [&](double x, double y) {
    const double radius = Uniform(random, kSmallest, kLargest);
    for (int dy = -kReach; dy <= kReach; ++dy) {
      for (int dx = -kReach; dx <= kReach; ++dx) {
        const double distance = std::hypot(static_cast<double>(dx), static_cast<double>(dy));
        const double covered = std::clamp(radius + 0.5 - distance, 0.0, 1.0);
        Raise(flakes, PixelOf(x) + dx, PixelOf(y) + dy, static_cast<float>(covered));
      }
    }
  });
  Blur(0.0F, kFall, flakes);
  for (size_t i = 0; i < picture.values.size(); ++i) {  // Screen: white stays white.
    const float open = (1.0F - kLift) * (1.0F - flakes.values[i / picture.channels]);
    picture.values[i] = 1.0F - (1.0F - picture.values[i]) * open;
  }
}

}  // namespace

std::string_view NameOf(Weather weather) {
  switch (weather) {
    case Weather::kRain:
      return "rain";
    case Weather::kFog:
      return "fog";
    case Weather::kSnow:
      return "snow";
  }
  return "unknown";
}

void Render(Weather weather, int severity, size_t side, std::mt19937_64& random,
            std::span<std::uint8_t> rgb) {
  assert(rgb.size() == side * side * 3);
  assert(severity >= 1 && severity <= kMostSeverity);
  Canvas picture{.side = side, .channels = 3, .values = std::vector<float>(rgb.size())};
  for (size_t i = 0; i < rgb.size(); ++i) picture.values[i] = static_cast<float>(rgb[i]) / 255.0F;
  const auto index = static_cast<size_t>(severity - 1);
  switch (weather) {
    case Weather::kRain:
      Rain(index, random, picture);
      break;
    case Weather::kFog:
      Fog(index, random, picture);
      break;
    case Weather::kSnow:
      Snow(index, random, picture);
      break;
  }
  for (size_t i = 0; i < rgb.size(); ++i) {
    const float value = 255.0F * std::clamp(picture.values[i], 0.0F, 1.0F);
    // Not negative, so this rounds rightly. NOLINTNEXTLINE(bugprone-incorrect-roundings)
    rgb[i] = static_cast<std::uint8_t>(value + 0.5F);
  }
}

void RenderAny(double probability, size_t side, std::mt19937_64& random,
               std::span<std::uint8_t> rgb) {
  if (!(Uniform(random) < probability)) return;
  const Weather weather = kWeathers[random() % kWeathers.size()];
  const auto severity = static_cast<int>(random() % kMostSeverity) + 1;
  Render(weather, severity, side, random, rgb);
}

}  // namespace orchard::vision
