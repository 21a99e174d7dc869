#include "vision/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/unit/vision/view.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawGradient;
using orchard::testing::DrawLeaf;
using orchard::testing::DrawPlain;

Bytes Mirrored(const Bytes& view, bool left_right) {
  Bytes mirrored(view.size());
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      const size_t from = left_right ? y * kSide + kSide - 1 - x : (kSide - 1 - y) * kSide + x;
      for (size_t c = 0; c < 3; ++c) mirrored[(y * kSide + x) * 3 + c] = view[from * 3 + c];
    }
  }
  return mirrored;
}

TEST(Augment, IsACentreCropWhenAllIsZero) {
  const Image image = DrawLeaf(75, 48, 1);
  Bytes want(kSide * kSide * 3);
  // The largest centre square of 75 x 48 pixels: 13.5 columns are cut off on the left.
  Image square{.width = 48, .height = 48, .rgb = {}};
  const Image wide = DrawLeaf(76, 48, 1);
  for (size_t y = 0; y < 48; ++y) {
    const auto row = wide.rgb.begin() + static_cast<std::ptrdiff_t>((y * 76 + 14) * 3);
    square.rgb.insert(square.rgb.end(), row, row + 48 * 3);
  }
  FitToEncoder(square, {.shorter_side = kSide, .crop = kSide}, want);
  const Bytes got = View(wide, {}, 5);
  // The filter may look across the crop's edge, where the picture goes on.
  for (size_t y = 1; y + 1 < kSide; ++y) {
    for (size_t k = 3; k < (kSide - 1) * 3; ++k) {
      ASSERT_NEAR(got[y * kSide * 3 + k], want[y * kSide * 3 + k], 1);
    }
  }
  EXPECT_EQ(View(image, {}, 5), View(image, {}, 6));
}

constexpr Augmentation kEverything{.min_area = 0.3,
                                   .min_aspect = 0.75,
                                   .horizontal_flip = 0.5,
                                   .vertical_flip = 0.5,
                                   .brightness = 0.3,
                                   .contrast = 0.3,
                                   .saturation = 0.3,
                                   .hue = 0.1,
                                   .erasing = 0.5};

TEST(Augment, RepeatsItselfForASeedAndNotForAnother) {
  const Image image = DrawLeaf(90, 60, 2);
  std::set<Bytes> different;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(View(image, kEverything, seed), View(image, kEverything, seed));
    different.insert(View(image, kEverything, seed));
  }
  EXPECT_EQ(different.size(), 20);
}

// Changes only when the meaning of a seed changes, which breaks the promise that an interrupted
// training run continues as if it had not been interrupted.
TEST(Augment, MeansTheSameViewByASeedForEver) {
  const Augmentation crop{.min_area = 0.3, .min_aspect = 0.75, .horizontal_flip = 0.5};
  const Bytes view = View(DrawGradient(64, 64), crop, 1);
  const auto pixel = [&](size_t x, size_t y) {
    const auto at = view.begin() + static_cast<std::ptrdiff_t>((y * kSide + x) * 3);
    return std::vector<int>(at, at + 3);
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(pixel(0, 0), ElementsAre(193, 2, 97));
  EXPECT_THAT(pixel(kSide - 1, 0), ElementsAre(50, 2, 26));
  EXPECT_THAT(pixel(0, kSide - 1), ElementsAre(193, 177, 185));
}

TEST(Augment, Mirrors) {
  const Image image = DrawLeaf(60, 60, 3);
  const Bytes plain = View(image, {}, 1);
  EXPECT_EQ(View(image, {.horizontal_flip = 1.0}, 1), Mirrored(plain, /*left_right=*/true));
  EXPECT_EQ(View(image, {.vertical_flip = 1.0}, 1), Mirrored(plain, /*left_right=*/false));
}

/// Where a view of the gradient came from, as shares of the picture's width and height.
struct Extent {
  double width, height;
};

Extent ExtentOf(const Bytes& view) {
  const std::uint8_t* last = view.data() + view.size() - 3;
  return {.width = std::abs(last[0] - view[0]) / 255.0,
          .height = std::abs(last[1] - view[1]) / 255.0};
}

TEST(Augment, CropsWithinAreaAndAspect) {
  const Image image = DrawGradient(400, 400);
  double smallest = 1.0;
  double flattest = 1.0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Extent extent = ExtentOf(View(image, {.min_area = 0.25, .min_aspect = 0.5}, seed));
    const double area = extent.width * extent.height;
    // The corner pixels' centres lie one view pixel (1/32) closer together than the edges.
    EXPECT_GT(area, 0.25 * 0.9);
    EXPECT_LE(area, 1.0);
    EXPECT_GT(extent.width / extent.height, 0.5 * 0.95);
    EXPECT_LT(extent.width / extent.height, 2.0 * 1.05);
    smallest = std::min(smallest, area);
    flattest = std::min(flattest, extent.width / extent.height);
  }
  EXPECT_LT(smallest, 0.35);  // The range is used to its ends.
  EXPECT_LT(flattest, 0.65);
}

// A wide picture: a square of it never has more than a third of its width.
TEST(Augment, ShowsTheWholePictureWhereTheEncoderSeesIt) {
  const Image wide = DrawGradient(300, 100);
  Bytes want(kSide * kSide * 3);
  FitToEncoder(wide, {.shorter_side = kSide, .crop = kSide, .framing = Framing::kWholePicture},
               want);
  EXPECT_EQ(View(wide, {.framing = Framing::kWholePicture}, 1), want);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Augmentation square{.min_area = 0.5};
    EXPECT_LT(ExtentOf(View(wide, square, seed)).width, 0.34);
    Augmentation whole = square;
    whole.framing = Framing::kWholePicture;
    const Extent extent = ExtentOf(View(wide, whole, seed));
    EXPECT_NEAR(extent.width, extent.height, 0.03) << "as shares of the sides";
    EXPECT_GT(extent.width, 0.65);
  }
}

std::array<double, 3> MeanOf(const Bytes& view) {
  std::array<double, 3> mean{};
  for (size_t i = 0; i < view.size(); ++i) mean[i % 3] += view[i];
  for (double& m : mean) m /= static_cast<double>(view.size() / 3);
  return mean;
}

double Luma(const std::array<double, 3>& rgb) {
  return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

double Spread(const std::array<double, 3>& rgb) {
  return *std::ranges::max_element(rgb) - *std::ranges::min_element(rgb);
}

TEST(Augment, ChangesBrightnessWithinItsFactor) {
  double darkest = 255;
  double brightest = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Bytes view = View(DrawPlain(40, 40, 100, 100, 100), {.brightness = 0.5}, seed);
    EXPECT_TRUE(std::ranges::all_of(view, [&](std::uint8_t b) { return b == view[0]; }));
    darkest = std::min<double>(darkest, view[0]);
    brightest = std::max<double>(brightest, view[0]);
  }
  EXPECT_NEAR(darkest, 50, 5);
  EXPECT_NEAR(brightest, 150, 5);
}

TEST(Augment, ChangesContrastAboutTheMean) {
  const Image image = DrawGradient(64, 64);
  const auto plain = MeanOf(View(image, {}, 0));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Bytes view = View(image, {.contrast = 0.4}, seed);
    EXPECT_NEAR(Luma(MeanOf(view)), Luma(plain), 3);
  }
  const Bytes grey = View(DrawPlain(40, 40, 90, 90, 90), {.contrast = 0.9}, 1);
  EXPECT_TRUE(std::ranges::all_of(grey, [](std::uint8_t b) { return b == 90; }));
}

TEST(Augment, ChangesSaturationAndHueButNotLuma) {
  const Image colour = DrawPlain(40, 40, 150, 110, 80);
  std::set<int> spreads;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto mean = MeanOf(View(colour, {.saturation = 0.5, .hue = 0.1}, seed));
    EXPECT_NEAR(Luma(mean), Luma({150, 110, 80}), 1);
    spreads.insert(static_cast<int>(Spread(mean)));
  }
  EXPECT_GT(spreads.size(), 10);
  for (const std::uint8_t byte :
       View(DrawPlain(40, 40, 90, 90, 90), {.saturation = 0.9, .hue = 0.5}, 1)) {
    EXPECT_NEAR(byte, 90, 1);
  }
}

/// The length of the colour's chrominance (BT.601's U and V), which a turn of the hue keeps.
double Chroma(const std::array<double, 3>& rgb) {
  return std::hypot(0.492 * (rgb[2] - Luma(rgb)), 0.877 * (rgb[0] - Luma(rgb)));
}

TEST(Augment, TurnsHueWithoutChangingHowColourfulItIs) {
  const std::array<double, 3> colour = {160, 90, 90};
  double most_green = 0;
  double most_blue = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto mean = MeanOf(View(DrawPlain(40, 40, 160, 90, 90), {.hue = 1.0 / 6}, seed));
    EXPECT_NEAR(Chroma(mean), Chroma(colour), 1);
    // A sixth of a turn takes red towards yellow or magenta; it never becomes the smallest.
    EXPECT_GT(mean[0], std::min(mean[1], mean[2]));
    most_green = std::max(most_green, mean[1] - mean[2]);
    most_blue = std::max(most_blue, mean[2] - mean[1]);
  }
  EXPECT_GT(most_green, 30);
  EXPECT_GT(most_blue, 30);
}

TEST(Augment, ErasesOneRectangleInTheMeanColour) {
  const Image image = DrawGradient(64, 64);
  const Bytes plain = View(image, {}, 0);
  const auto mean = MeanOf(plain);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Bytes view = View(image, {.erasing = 1.0}, seed);
    size_t erased = 0;
    for (size_t i = 0; i < view.size(); i += 3) {
      if (std::equal(view.begin() + static_cast<std::ptrdiff_t>(i),
                     view.begin() + static_cast<std::ptrdiff_t>(i + 3),
                     plain.begin() + static_cast<std::ptrdiff_t>(i))) {
        continue;
      }
      ++erased;
      for (size_t c = 0; c < 3; ++c) ASSERT_NEAR(view[i + c], mean[c], 1);
    }
    const double share = static_cast<double>(erased) / (kSide * kSide);
    EXPECT_GT(share, 0.01);
    EXPECT_LT(share, 0.23);
  }
}

TEST(Augment, OneSettingLeavesTheNumbersOfOthersAlone) {
  const Image image = DrawGradient(200, 200);
  const Augmentation crop{.min_area = 0.3, .min_aspect = 0.75, .horizontal_flip = 0.5};
  Augmentation both = crop;
  both.erasing = 1.0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Bytes a = View(image, crop, seed);
    const Bytes b = View(image, both, seed);
    size_t same = 0;
    for (size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
    EXPECT_GT(same, a.size() / 2);  // Only the rectangle differs.
  }
}

TEST(Augment, TakesPicturesOfAnyShape) {
  for (const auto& [width, height] :
       {std::pair<size_t, size_t>{1, 1}, {1, 500}, {500, 1}, {3, 2}}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      EXPECT_EQ(View(DrawPlain(width, height, 9, 9, 9), {.min_area = 0.1, .min_aspect = 0.5}, seed),
                Bytes(kSide * kSide * 3, 9));
    }
  }
}

}  // namespace
}  // namespace orchard::vision
