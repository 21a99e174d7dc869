#include "vision/preprocess.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawGradient;
using orchard::testing::DrawLeaf;
using orchard::testing::DrawPlain;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;

Bytes Preprocess(const Image& image, const Profile& profile) {
  Bytes out(profile.crop * profile.crop * 3);
  FitToEncoder(image, profile, out);
  return out;
}

/// One channel of a grey picture, [height, width].
Image FromGrey(size_t width, size_t height, const Bytes& grey) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (const std::uint8_t value : grey) image.rgb.insert(image.rgb.end(), 3, value);
  return image;
}

Bytes Reds(const Bytes& rgb) {
  Bytes reds;
  for (size_t i = 0; i < rgb.size(); i += 3) reds.push_back(rgb[i]);
  return reds;
}

/// What a side of `image` is resized to.
size_t LengthOf(size_t side, const Image& image, const Profile& profile) {
  if (profile.framing == Framing::kWholePicture) return profile.crop;
  return side * profile.shorter_side / std::min(image.width, image.height);
}

/// The definition, slowly and in double: a result is the mean of all pixels, weighted by a
/// triangle about its centre in both directions.
Bytes ByDefinition(const Image& image, const Profile& profile) {
  const size_t length_x = LengthOf(image.width, image, profile);
  const size_t length_y = LengthOf(image.height, image, profile);
  const auto weight = [](size_t result, size_t pixel, size_t size, size_t length) {
    const double ratio = static_cast<double>(size) / static_cast<double>(length);
    const double centre = (static_cast<double>(result) + 0.5) * ratio;
    const double distance = std::abs(static_cast<double>(pixel) + 0.5 - centre);
    return std::max(0.0, 1.0 - distance / std::max(1.0, ratio));
  };
  Bytes out;
  for (size_t i = 0; i < profile.crop; ++i) {
    for (size_t j = 0; j < profile.crop; ++j) {
      double sums[3] = {0, 0, 0};
      double total = 0;
      for (size_t y = 0; y < image.height; ++y) {
        const double down = weight(i + (length_y - profile.crop) / 2, y, image.height, length_y);
        if (down == 0) continue;
        for (size_t x = 0; x < image.width; ++x) {
          const double w =
              down * weight(j + (length_x - profile.crop) / 2, x, image.width, length_x);
          for (size_t c = 0; c < 3; ++c) sums[c] += w * image.rgb[(y * image.width + x) * 3 + c];
          total += w;
        }
      }
      for (const double sum : sums) out.push_back(static_cast<std::uint8_t>(sum / total + 0.5));
    }
  }
  return out;
}

TEST(FitToEncoder, TakesTheMiddleWhenTheSizeIsRight) {
  const Image image = DrawLeaf(9, 6, 1);
  const Bytes out = Preprocess(image, {.shorter_side = 6, .crop = 4});
  for (size_t y = 0; y < 4; ++y) {
    for (size_t k = 0; k < 12; ++k) {
      // (9 - 4) / 2 = 2 columns and one row are cut off first.
      ASSERT_EQ(out[y * 12 + k], image.rgb[((y + 1) * 9 + 2) * 3 + k]);
    }
  }
}

// Centres at 1 and 3 of four pixels; the triangle reaches two pixels to each side, so that the
// first three pixels weigh 3/4, 3/4, 1/4 of 7/4 for the first result.
TEST(FitToEncoder, ShrinksWithAWideTriangle) {
  const Bytes row = {70, 0, 0, 140};
  Bytes rows;
  for (int i = 0; i < 4; ++i) rows.insert(rows.end(), row.begin(), row.end());
  EXPECT_THAT(Reds(Preprocess(FromGrey(4, 4, rows), {.shorter_side = 2, .crop = 2})),
              ElementsAre(30, 60, 30, 60));
}

// Centres at 1/4, 3/4, 5/4, 7/4 of two pixels, whose own centres are at 1/2 and 3/2.
TEST(FitToEncoder, GrowsBetweenTheTwoNearest) {
  EXPECT_THAT(Reds(Preprocess(FromGrey(2, 2, {0, 100, 0, 100}), {.shorter_side = 4, .crop = 4})),
              ElementsAre(0, 25, 75, 100, 0, 25, 75, 100, 0, 25, 75, 100, 0, 25, 75, 100));
}

// Columns of black and white, one pixel each: plain bilinear interpolation that looks at every
// fifth pixel would give stripes, averaging gives grey.
TEST(FitToEncoder, DoesNotAlias) {
  Bytes stripes;
  for (size_t i = 0; i < 80 * 80; ++i) stripes.push_back(i % 2 == 0 ? 0 : 255);
  for (const std::uint8_t value :
       Preprocess(FromGrey(80, 80, stripes), {.shorter_side = 16, .crop = 8})) {
    EXPECT_NEAR(value, 127.5, 6);
  }
}

struct SizeCase {
  size_t width, height;
  Profile profile;
};

class ResizeTest : public ::testing::TestWithParam<SizeCase> {};

TEST_P(ResizeTest, FollowsTheDefinition) {
  const auto& [width, height, profile] = GetParam();
  Image image = DrawLeaf(width, height, 7);
  std::mt19937_64 random(1);
  for (std::uint8_t& byte : image.rgb) byte = static_cast<std::uint8_t>(byte ^ (random() & 0x3F));
  const Bytes want = ByDefinition(image, profile);
  const Bytes got = Preprocess(image, profile);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1) << "byte " << i;
}

TEST_P(ResizeTest, LeavesOneColourAsItIs) {
  const auto& [width, height, profile] = GetParam();
  for (const std::uint8_t level : Bytes{0, 1, 128, 254, 255}) {
    const Bytes out = Preprocess(DrawPlain(width, height, level, 255, 0), profile);
    for (size_t i = 0; i < out.size(); i += 3) {
      ASSERT_THAT((std::vector<int>{out[i], out[i + 1], out[i + 2]}), ElementsAre(level, 255, 0));
    }
  }
}

TEST_P(ResizeTest, KeepsARampARamp) {
  const auto& [width, height, profile] = GetParam();
  const Image ramp = DrawGradient(width, height);
  const size_t length = LengthOf(width, ramp, profile);
  const double ratio = static_cast<double>(width) / static_cast<double>(length);
  const size_t cut = (length - profile.crop) / 2;
  const Bytes reds = Reds(Preprocess(ramp, profile));
  for (size_t j = 0; j < profile.crop; ++j) {
    const double at = (static_cast<double>(cut + j) + 0.5) * ratio - 0.5;
    // Near the edges the triangle is cut off and the ramp bends.
    const double reach = std::max(1.0, ratio);
    if (at - reach < 0 || at + reach > static_cast<double>(width - 1)) continue;
    ASSERT_NEAR(reds[j], 255 * at / static_cast<double>(width - 1), 1.5) << "column " << j;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ResizeTest,
                         ::testing::Values(SizeCase{61, 47, {32, 28}}, SizeCase{47, 61, {32, 28}},
                                           SizeCase{300, 33, {32, 32}}, SizeCase{33, 300, {32, 7}},
                                           SizeCase{20, 17, {64, 56}}, SizeCase{200, 150, {32, 28}},
                                           SizeCase{32, 32, {32, 32}}, SizeCase{5, 3, {4, 4}},
                                           SizeCase{1, 1, {8, 7}}, SizeCase{1, 40, {8, 8}},
                                           SizeCase{61, 47, {28, 28, Framing::kWholePicture}},
                                           SizeCase{300, 33, {32, 32, Framing::kWholePicture}},
                                           SizeCase{1, 40, {8, 8, Framing::kWholePicture}},
                                           SizeCase{2, 1, {3, 3}}));

TEST(ShrinkTo, GivesTheWholePictureByTheSameFilter) {
  const Image image = DrawLeaf(90, 60, 4);
  const Image small = ShrinkTo(image, 30);
  EXPECT_EQ(small.width, 45);
  EXPECT_EQ(small.height, 30);
  // Its middle is what FitToEncoder cuts out: (45 - 30) / 2 = 7 columns are left of it.
  const Bytes middle = Preprocess(image, {.shorter_side = 30, .crop = 30});
  for (size_t y = 0; y < 30; ++y) {
    for (size_t k = 0; k < 90; ++k) {
      ASSERT_EQ(small.rgb[(y * 45 + 7) * 3 + k], middle[y * 90 + k]);
    }
  }
}

// Four columns of a picture twice as wide as it is high: the crop sees the middle two, the whole
// picture all of them, two to a pixel.
TEST(FitToEncoder, ShowsTheWholePictureWhereTheModelSaysSo) {
  const Image wide = FromGrey(4, 2, {0, 100, 200, 0, 0, 100, 200, 0});
  EXPECT_THAT(Reds(Preprocess(wide, {.shorter_side = 2, .crop = 2})),
              ElementsAre(100, 200, 100, 200));
  const Profile whole{.shorter_side = 2, .crop = 2, .framing = Framing::kWholePicture};
  // (0 * 3 + 100 * 3 + 200 * 1) / 7 and (100 * 1 + 200 * 3 + 0 * 3) / 7.
  EXPECT_THAT(Reds(Preprocess(wide, whole)), ElementsAre(71, 100, 71, 100));
}

TEST(ShrinkTo, LeavesASmallPictureAlone) {
  const Image image = DrawLeaf(40, 24, 4);
  EXPECT_EQ(ShrinkTo(image, 24).rgb, image.rgb);
  EXPECT_EQ(ShrinkTo(image, 100).width, 40);
}

TEST(DecodeForEncoder, IsDecodeThenFitToEncoder) {
  const std::string jpeg =
      orchard::testing::WithOrientation(orchard::testing::EncodeJpeg(DrawLeaf(300, 200, 2)), 6);
  for (const Profile& profile :
       {Profile{.shorter_side = 64, .crop = 56},
        Profile{.shorter_side = 64, .crop = 64, .framing = Framing::kWholePicture}}) {
    Bytes out(profile.crop * profile.crop * 3);
    ASSERT_THAT(DecodeForEncoder(jpeg, {}, profile, out), IsOk());
    const auto image = Decode(jpeg, {}, profile.shorter_side);
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ(image->width, 100);
    EXPECT_EQ(out, Preprocess(*image, profile));
  }
}

TEST(Fit, IsFitToEncoderInMemoryOfItsOwn) {
  const Image image = DrawLeaf(90, 60, 2);
  const Profile profile{.shorter_side = 32, .crop = 28};
  const auto pixels = Fit(image, profile);
  ASSERT_THAT(pixels, IsOk());
  EXPECT_EQ(*pixels, Preprocess(image, profile));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Fit, ThrowsNothingWithoutMemory) {
  // More than a process can address: no machine has it. (A sanitizer ends the process instead.)
  constexpr size_t kSide = size_t{1} << 23;
  EXPECT_THAT(Fit(DrawLeaf(9, 6, 2), {.shorter_side = kSide, .crop = kSide}),
              StatusIs(absl::StatusCode::kResourceExhausted, "resizing the picture: no memory"));
}
#endif

TEST(DecodeForEncoder, PassesTheReasonOn) {
  Bytes out(56 * 56 * 3);
  EXPECT_THAT(DecodeForEncoder("nonsense", {}, {.shorter_side = 64, .crop = 56}, out),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("not a picture")));
}

}  // namespace
}  // namespace orchard::vision
