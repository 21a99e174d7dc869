#include "vision/rand_augment.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/unit/vision/view.h"
#include "vision/augment.h"
#include "vision/recompress.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawGradient;
using orchard::testing::DrawLeaf;
using orchard::testing::DrawPlain;

/// A white square of 8 × 8 pixels on black, its upper left corner at (left, top).
Bytes Square(size_t left, size_t top) {
  Bytes rgb(kSide * kSide * 3);
  for (size_t y = top; y < top + 8; ++y) {
    for (size_t k = left * 3; k < (left + 8) * 3; ++k) rgb[y * kSide * 3 + k] = 255;
  }
  return rgb;
}

/// The centre of what is brighter than grey, pixels.
struct Place {
  double x = 0.0;
  double y = 0.0;
};
Place CentreOf(const Bytes& rgb) {
  Place sum;
  double count = 0;
  for (size_t i = 0; i < kSide * kSide; ++i) {
    if (rgb[3 * i] < 128) continue;
    sum.x += static_cast<double>(i % kSide);
    sum.y += static_cast<double>(i / kSide);
    ++count;
  }
  return {.x = sum.x / count, .y = sum.y / count};
}

Bytes After(Operation operation, double strength, bool negative, Bytes rgb) {
  Operate(operation, strength, negative, kSide, rgb);
  return rgb;
}

TEST(Operate, LeavesThePictureAloneAtNoStrength) {
  const Bytes leaf = DrawLeaf(kSide, kSide, 1).rgb;
  for (const Operation operation : kOperations) {
    if (operation == Operation::kAutoContrast || operation == Operation::kEqualise) continue;
    const Bytes after = After(operation, 0.0, false, leaf);
    // Solarising from 255 on turns white alone.
    if (operation == Operation::kSolarise) continue;
    EXPECT_EQ(after, leaf) << static_cast<int>(operation);
  }
}

TEST(Operate, MovesTurnsAndShears) {
  const Bytes above =
      Square(12, 0);  // Its centre is at (15.5, 3.5), the picture's at (15.5, 15.5).
  const Place turned = CentreOf(After(Operation::kRotate, 1.0, false, above));
  EXPECT_NEAR(turned.x, 15.5 + 12 * 0.5, 0.7);  // 30 degrees clockwise.
  EXPECT_NEAR(turned.y, 15.5 - 12 * 0.866, 0.7);
  const Place back = CentreOf(After(Operation::kRotate, 1.0, true, above));
  EXPECT_NEAR(back.x, 15.5 - 12 * 0.5, 0.7);
  const double way = 150.0 / 331.0 * 32 / 2;
  EXPECT_NEAR(CentreOf(After(Operation::kTranslateX, 0.5, false, Square(12, 12))).x, 15.5 - way, 1);
  EXPECT_NEAR(CentreOf(After(Operation::kTranslateY, 0.5, true, Square(12, 12))).y, 15.5 + way, 1);
  const Place sheared = CentreOf(After(Operation::kShearX, 1.0, false, above));
  EXPECT_NEAR(sheared.x, 15.5 + 0.3 * 12, 1);
  EXPECT_NEAR(sheared.y, 3.5, 0.5);
}

TEST(Operate, FillsWithTheMeanColour) {
  const Bytes half = [] {
    Bytes rgb(kSide * kSide * 3, 200);
    std::fill(rgb.begin() + kSide * kSide * 3 / 2, rgb.end(), std::uint8_t{100});
    return rgb;
  }();
  const Bytes moved = After(Operation::kTranslateX, 1.0, false, half);
  EXPECT_EQ(moved[(kSide - 1) * 3], 150);  // The upper right corner came from outside.
  EXPECT_EQ(moved[0], 200);
}

TEST(Operate, ChangesColours) {
  const Bytes plain = DrawPlain(kSide, kSide, 100, 150, 50).rgb;
  EXPECT_EQ(After(Operation::kBrightness, 1.0, true, plain)[1], 15);
  EXPECT_EQ(After(Operation::kBrightness, 0.5, false, plain)[0], 145);
  const Bytes grey = After(Operation::kColour, 1.0, true, plain);
  EXPECT_NEAR(grey[1] - grey[2], 10, 1);  // A tenth of the colour is left.
  EXPECT_EQ(After(Operation::kPosterise, 1.0, false, plain)[0], 96);
  EXPECT_EQ(After(Operation::kSolarise, 0.5, false, plain)[0], 100);  // Below 127.5.
  EXPECT_EQ(After(Operation::kSolarise, 0.5, false, plain)[1], 105);
}

TEST(Operate, ContrastKeepsTheMean) {
  const Bytes gradient = DrawGradient(kSide, kSide).rgb;
  const auto mean = [](const Bytes& rgb) {
    double sum = 0;
    for (const std::uint8_t b : rgb) sum += b;
    return sum / static_cast<double>(rgb.size());
  };
  const auto range = [](const Bytes& rgb) {
    const auto [low, high] = std::ranges::minmax_element(rgb);
    return *high - *low;
  };
  const Bytes flat = After(Operation::kContrast, 0.5, true, gradient);
  EXPECT_NEAR(mean(flat), mean(gradient), 2);
  EXPECT_NEAR(range(flat), 0.55 * range(gradient), 3);
}

TEST(Operate, StretchesAndEvensHistograms) {
  Bytes dark(kSide * kSide * 3);
  for (size_t i = 0; i < dark.size(); ++i) dark[i] = static_cast<std::uint8_t>(20 + i / 3 % 11);
  const Bytes stretched = After(Operation::kAutoContrast, 0.0, false, dark);
  EXPECT_EQ(*std::ranges::min_element(stretched), 0);
  EXPECT_EQ(*std::ranges::max_element(stretched), 255);
  const Bytes even = After(Operation::kEqualise, 0.0, false, dark);
  EXPECT_EQ(*std::ranges::min_element(even), 0);
  EXPECT_GE(*std::ranges::max_element(even), 250);
  // One value has no range.
  const Bytes plain = DrawPlain(kSide, kSide, 7, 7, 7).rgb;
  EXPECT_EQ(After(Operation::kAutoContrast, 0.0, false, plain), plain);
  EXPECT_EQ(After(Operation::kEqualise, 0.0, false, plain), plain);
}

TEST(Operate, SharpensAndBlurs) {
  Bytes dot(kSide * kSide * 3, 100);
  const size_t middle = (16 * kSide + 16) * 3;
  dot[middle] = 200;
  EXPECT_LT(After(Operation::kSharpness, 1.0, true, dot)[middle], 150);
  EXPECT_GT(After(Operation::kSharpness, 1.0, false, dot)[middle], 240);
}

TEST(RandAugment, RepeatsItselfForASeedAndTakesAnySide) {
  for (const size_t side : {1U, 2U, 3U, 32U, 224U}) {
    const Bytes leaf = DrawLeaf(side, side, 2).rgb;
    std::set<Bytes> different;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
      Bytes a = leaf;
      Bytes b = leaf;
      std::mt19937_64 random_a(seed);
      std::mt19937_64 random_b(seed);
      RandAugment(2, 9, side, random_a, a);
      RandAugment(2, 9, side, random_b, b);
      EXPECT_EQ(a, b);
      different.insert(a);
    }
    if (side == 32) {
      EXPECT_GT(different.size(), 25U);
    }
  }
}

TEST(Recompress, LosesWhatAJpegLoses) {
  const Image leaf = DrawLeaf(32, 32, 4);
  const Image poor = Recompress(leaf, 20);
  const Image good = Recompress(leaf, 98);
  ASSERT_EQ(poor.width, 32U);
  ASSERT_EQ(poor.height, 32U);
  const auto error = [&](const Image& image) {
    double sum = 0;
    for (size_t i = 0; i < image.rgb.size(); ++i) sum += std::abs(image.rgb[i] - leaf.rgb[i]);
    return sum / static_cast<double>(image.rgb.size());
  };
  EXPECT_GT(error(poor), error(good) * 2);
  EXPECT_GT(error(good), 0.0);
}

// --- As parts of a view.

constexpr Augmentation kEverything{.min_area = 0.5,
                                   .horizontal_flip = 0.5,
                                   .brightness = 0.3,
                                   .erasing = 0.5,
                                   .operations = 2,
                                   .magnitude = 9,
                                   .pad = 4,
                                   .rotation = 15,
                                   .jpeg = 0.5};

TEST(AugmentExtras, RepeatThemselvesForASeed) {
  const Image image = DrawLeaf(40, 36, 2);
  std::set<Bytes> different;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(View(image, kEverything, seed), View(image, kEverything, seed));
    different.insert(View(image, kEverything, seed));
  }
  EXPECT_EQ(different.size(), 20U);
}

TEST(AugmentExtras, PadMovesByWholePixelsAndMirrorsTheEdge) {
  const Image image = DrawGradient(kSide, kSide);
  std::set<std::pair<int, int>> moves;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Bytes view = View(image, {.pad = 4}, seed);
    // The middle pixel tells where it was: red grows to the right, green downwards.
    const size_t middle = (16 * kSide + 16) * 3;
    const auto found = [&] {
      for (int dy = -4; dy <= 4; ++dy) {
        for (int dx = -4; dx <= 4; ++dx) {
          const size_t at = static_cast<size_t>((16 + dy) * 32 + 16 + dx) * 3;
          if (std::equal(&view[middle], &view[middle] + 3, &image.rgb[at]))
            return std::pair(dx, dy);
        }
      }
      return std::pair(99, 99);
    }();
    ASSERT_LE(found.first, 4) << "not a whole pixel, or too far";
    moves.insert(found);
    if (found.first == -1 && found.second == 0) {
      EXPECT_EQ(view[0], view[3]);  // The first column twice: mirrored at the edge.
    }
  }
  EXPECT_GT(moves.size(), 70U);  // Of 81.
}

TEST(AugmentExtras, JpegComesFirstAndAsOftenAsItIsAsked) {
  const Image image = DrawLeaf(kSide, kSide, 5);
  const Bytes compressed = Recompress(image, 75).rgb;
  const auto count = [&](double probability) {
    int seen = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const Bytes view = View(image, {.jpeg = probability}, seed);
      if (view == compressed) ++seen;
      EXPECT_TRUE(view == compressed || view == image.rgb);
    }
    return seen;
  };
  EXPECT_EQ(count(1.0), 200);
  EXPECT_NEAR(count(0.5), 100, 30);
}

TEST(AugmentExtras, RotationStaysInItsRange) {
  const Image image{.width = kSide, .height = kSide, .rgb = Square(12, 0)};
  double most = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Place at = CentreOf(View(image, {.rotation = 15}, seed));
    const double degrees = std::atan2(at.x - 15.5, 15.5 - at.y) * 57.29578;
    EXPECT_LT(std::abs(degrees), 17);
    most = std::max(most, std::abs(degrees));
  }
  EXPECT_GT(most, 12);
}

TEST(AugmentExtras, LeaveTheNumbersOfOthersAlone) {
  const Image image = DrawGradient(200, 200);
  const Augmentation crop{.min_area = 0.3, .min_aspect = 0.75, .horizontal_flip = 0.5};
  Augmentation both = crop;
  both.rotation = 1e-9;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_EQ(View(image, crop, seed), View(image, both, seed));
  }
}

TEST(AugmentExtras, ErasesAsMuchAsItIsAsked) {
  const Image image = DrawGradient(kSide, kSide);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Bytes view =
        View(image, {.erasing = 1.0, .erasing_min_area = 0.4, .erasing_max_area = 0.5}, seed);
    size_t erased = 0;
    for (size_t i = 0; i < view.size(); i += 3) {
      erased += std::equal(&view[i], &view[i] + 3, &image.rgb[i]) ? 0U : 1U;
    }
    EXPECT_GT(erased, kSide * kSide * 3 / 10);
    EXPECT_LT(erased, kSide * kSide * 6 / 10);
  }
}

TEST(AugmentExtras, SayHowTheViewWasMirrored) {
  const Image image = DrawLeaf(kSide, kSide, 3);
  Bytes out(kSide * kSide * 3);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const Mirrored mirrored = Augment(image, {.horizontal_flip = 0.5}, kSide, random, out);
    EXPECT_EQ(mirrored.left_right, out != image.rgb);
    EXPECT_FALSE(mirrored.up_down);
  }
}

}  // namespace
}  // namespace orchard::vision
