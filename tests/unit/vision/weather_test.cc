#include "vision/weather.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/unit/vision/view.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawLeaf;
using orchard::testing::DrawPlain;

Bytes Plain(std::uint8_t grey) { return DrawPlain(kSide, kSide, grey, grey, grey).rgb; }

Bytes Under(Weather weather, int severity, std::uint64_t seed, Bytes rgb) {
  std::mt19937_64 random(seed);
  Render(weather, severity, kSide, random, rgb);
  return rgb;
}

double Mean(const Bytes& rgb) {
  double sum = 0.0;
  for (const std::uint8_t byte : rgb) sum += byte;
  return sum / static_cast<double>(rgb.size());
}

/// The mean step from a pixel to the one `dx` to its right and `dy` below it.
double Step(const Bytes& rgb, size_t dx, size_t dy) {
  double sum = 0.0;
  double count = 0.0;
  for (size_t y = 0; y + dy < kSide; ++y) {
    for (size_t x = 0; x + dx < kSide; ++x) {
      sum += std::abs(rgb[(y * kSide + x) * 3] - rgb[((y + dy) * kSide + x + dx) * 3]);
      ++count;
    }
  }
  return sum / count;
}

TEST(WeatherTest, ASeedGivesThePictureAgainAndAnotherAnother) {
  const Bytes leaf = DrawLeaf(kSide, kSide, 1).rgb;
  for (const Weather weather : kWeathers) {
    for (int severity = 1; severity <= kMostSeverity; ++severity) {
      const Bytes once = Under(weather, severity, 4, leaf);
      EXPECT_EQ(Under(weather, severity, 4, leaf), once) << NameOf(weather) << severity;
      EXPECT_NE(Under(weather, severity, 5, leaf), once) << NameOf(weather) << severity;
      EXPECT_NE(once, leaf) << NameOf(weather) << severity;
    }
  }
}

// models.md section 6.4: v' = v t + A (1 - t); black and white leave t and A apart.
TEST(WeatherTest, FogKeepsOfContrastWhatTheLawSays) {
  const double thickness[] = {0.6, 1.2, 2.0};
  for (int severity = 1; severity <= kMostSeverity; ++severity) {
    const Bytes black = Under(Weather::kFog, severity, 3, Plain(0));
    const Bytes white = Under(Weather::kFog, severity, 3, Plain(255));
    for (size_t y = 0; y < kSide; ++y) {
      const double height = 0.5 - (static_cast<double>(y) + 0.5) / static_cast<double>(kSide);
      const double kept = std::exp(-(thickness[severity - 1] + 0.3 * height));
      const size_t at = y * kSide * 3;
      EXPECT_NEAR(white[at] - black[at], 255.0 * kept, 1.01) << severity << ", row " << y;
      EXPECT_GE(black[at], 0.75 * 255.0 * (1.0 - kept) - 1.0);
      EXPECT_LE(black[at], 0.95 * 255.0 * (1.0 - kept) + 1.0);
    }
  }
}

TEST(WeatherTest, RainFallsSteeplyAndOnlyBrightens) {
  double before = 0.0;
  for (int severity = 1; severity <= kMostSeverity; ++severity) {
    double mean = 0.0;
    double across = 0.0;
    double down = 0.0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const Bytes rainy = Under(Weather::kRain, severity, seed, Plain(40));
      EXPECT_GE(*std::ranges::min_element(rainy), 40);
      mean += Mean(rainy) - 40.0;
      across += Step(rainy, 1, 0);
      down += Step(rainy, 0, 1);
    }
    EXPECT_GT(across, 1.5 * down) << severity;
    EXPECT_GT(mean, 1.5 * before) << severity;
    before = mean;
  }
}

TEST(WeatherTest, SnowLightensTheDarkAndLeavesWhiteAlone) {
  EXPECT_EQ(Under(Weather::kSnow, 3, 2, Plain(255)), Plain(255));
  double before = 0.0;
  for (int severity = 1; severity <= kMostSeverity; ++severity) {
    double mean = 0.0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const Bytes snowy = Under(Weather::kSnow, severity, seed, Plain(0));
      EXPECT_GE(*std::ranges::min_element(snowy), 25);  // The lift of a tenth.
      mean += Mean(snowy);
    }
    EXPECT_GT(mean, before) << severity;
    before = mean;
  }
}

TEST(WeatherTest, ViewsOfOnePixelAreViews) {
  for (const Weather weather : kWeathers) {
    Bytes pixel = {10, 20, 30};
    std::mt19937_64 random(1);
    Render(weather, 3, 1, random, pixel);
    EXPECT_EQ(pixel.size(), 3U);
  }
}

TEST(RenderAnyTest, EachWeatherAndSeverityIsAsLikely) {
  const Bytes leaf = DrawLeaf(kSide, kSide, 1).rgb;
  constexpr size_t kDraws = 1800;
  size_t changed = 0;
  std::map<size_t, size_t> by_kind;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    Bytes view = leaf;
    std::mt19937_64 random(seed);
    RenderAny(0.75, kSide, random, view);
    if (view == leaf) continue;
    ++changed;
    std::mt19937_64 again(seed);
    again.discard(1);
    const size_t weather = again() % kWeathers.size();
    ++by_kind[weather * kMostSeverity + again() % kMostSeverity];
  }
  EXPECT_NEAR(static_cast<double>(changed) / kDraws, 0.75, 0.04);
  ASSERT_EQ(by_kind.size(), kWeathers.size() * kMostSeverity);
  for (const auto& [kind, count] : by_kind)
    EXPECT_NEAR(static_cast<double>(count), 150, 50) << kind;
  Bytes view = leaf;
  std::mt19937_64 random(1);
  RenderAny(0.0, kSide, random, view);
  EXPECT_EQ(view, leaf);
}

}  // namespace
}  // namespace orchard::vision
