// What Decode gives: pixels of every kind of file, sizes, orientation.

#include "vision/decode.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
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
using orchard::testing::EncodeJpeg;
using orchard::testing::EncodePng;
using orchard::testing::EncodeWebp;
using orchard::testing::IsOk;
using orchard::testing::PngColour;

constexpr size_t kWidth = 40;
constexpr size_t kHeight = 24;

/// Whose alpha grows along the rows, from 0 to 255.
std::vector<std::uint8_t> Alpha() {
  std::vector<std::uint8_t> alpha(kWidth * kHeight);
  for (size_t i = 0; i < alpha.size(); ++i) {
    alpha[i] = static_cast<std::uint8_t>(255 * (i % kWidth) / (kWidth - 1));
  }
  return alpha;
}

/// `change` of every byte; c is the channel, i the pixel.
Image Mapped(Image image,
             const std::function<double(const std::uint8_t* rgb, size_t c, size_t i)>& change) {
  const Image original = image;
  for (size_t k = 0; k < image.rgb.size(); ++k) {
    const double value = change(original.rgb.data() + k / 3 * 3, k % 3, k / 3);
    image.rgb[k] = static_cast<std::uint8_t>(std::lround(value));
  }
  return image;
}

Image Red(const Image& image) {
  return Mapped(image, [](const std::uint8_t* rgb, size_t, size_t) { return rgb[0]; });
}

Image OverWhite(const Image& image) {
  const std::vector<std::uint8_t> alpha = Alpha();
  return Mapped(image, [&](const std::uint8_t* rgb, size_t c, size_t i) {
    const double opacity = alpha[i] / 255.0;
    return rgb[c] * opacity + 255.0 * (1 - opacity);
  });
}

Image Palette(const Image& image) {
  return Mapped(image, [](const std::uint8_t* rgb, size_t c, size_t) {
    return 51.0 * std::floor((rgb[c] + 25) / 51.0);
  });
}

/// Luma, in the integers of the test's own encoder.
Image Grey(const Image& image) {
  return Mapped(image, [](const std::uint8_t* rgb, size_t, size_t) {
    return (299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2]) / 1000;
  });
}

int Largest(const Image& a, const Image& b) {
  int largest = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

double Mean(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

struct PixelCase {
  std::string name;
  std::string bytes;
  Image want;
  int largest;          ///< allowed difference of any byte
  double mean = 256.0;  ///< allowed mean difference
};

class PixelTest : public ::testing::TestWithParam<PixelCase> {};

TEST_P(PixelTest, AreThoseOfTheDrawing) {
  const Limits limits{
      .formats = {Format::kJpeg, Format::kPng, Format::kWebp, Format::kBmp, Format::kPpm}};
  const auto image = Decode(GetParam().bytes, limits, 0);
  ASSERT_THAT(image, IsOk());
  ASSERT_EQ(image->width, GetParam().want.width);
  ASSERT_EQ(image->height, GetParam().want.height);
  ASSERT_EQ(image->rgb.size(), GetParam().want.rgb.size());
  EXPECT_LE(Largest(*image, GetParam().want), GetParam().largest);
  EXPECT_LE(Mean(*image, GetParam().want), GetParam().mean);
}

/// The JPEG with Adobe's segment that says how its colours are stored: 0 as they are, 2 as YCCK.
std::string WithColourTransform(std::string jpeg, char transform) {
  const std::string adobe =
      std::string("\xFF\xEE\0\x0E", 4) + std::string("Adobe\0\x64\0\0\0\0", 11);
  return jpeg.insert(jpeg.find("\xFF\xDB"), adobe + transform);
}

/// Exact where the file is lossless and 1 where a fraction is rounded; JPEG and WebP by what their
/// quality costs on a smooth picture.
std::vector<PixelCase> Pixels() {
  namespace t = orchard::testing;
  const Image image = DrawGradient(kWidth, kHeight);
  const auto alpha = Alpha();
  const auto png = [&](t::PngOptions options) { return EncodePng(image, options); };
  const std::string opaque_first("\x00", 1);
  return {
      {"Jpeg", EncodeJpeg(image, {.quality = 95}), image, 16, 2.5},
      {"ProgressiveJpeg", EncodeJpeg(image, {.quality = 95, .progressive = true}), image, 16, 2.5},
      {"GreyJpeg", EncodeJpeg(image, {.quality = 95, .grey = true}), Grey(image), 4, 1.0},
      {"FlatGreyJpeg", t::EncodeFlatJpeg(8, 8, {{200}}), DrawPlain(8, 8, 200, 200, 200), 0},
      {"FlatBlackJpeg", t::EncodeFlatJpeg(8, 8, {{0}}), DrawPlain(8, 8, 0, 0, 0), 0},
      // Adobe stores 255 less the ink: here no cyan, half magenta, all yellow, a fifth of black.
      {"CmykJpeg", t::EncodeFlatJpeg(8, 8, {{255}, {128}, {0}, {204}}),
       DrawPlain(8, 8, 204, 102, 0), 0},
      {"CmykWhite", t::EncodeFlatJpeg(8, 8, {{255}, {255}, {255}, {255}}),
       DrawPlain(8, 8, 255, 255, 255), 0},
      // 255 less the RGB that Y, Cb and Cr give: red is 100 + 1.402 * 100, blue 100.
      {"YcckJpeg", WithColourTransform(t::EncodeFlatJpeg(8, 8, {{100}, {128}, {228}, {255}}), 2),
       DrawPlain(8, 8, 15, 226, 155), 1},
      {"RgbJpeg", WithColourTransform(t::EncodeFlatJpeg(8, 8, {{250}, {100}, {3}}), 0),
       DrawPlain(8, 8, 250, 100, 3), 0},
      {"Png", png({}), image, 0},
      {"SixteenBitPng", png({.depth = 16}), image, 0},
      {"GreyPng", png({.colour = PngColour::kGrey}), Red(image), 0},
      {"SixteenBitGreyPng", png({.colour = PngColour::kGrey, .depth = 16}), Red(image), 0},
      {"PalettePng", png({.colour = PngColour::kPalette}), Palette(image), 0},
      {"AlphaPng", png({.colour = PngColour::kRgbAlpha, .alpha = alpha}), OverWhite(image), 1},
      {"SixteenBitAlphaPng", png({.colour = PngColour::kRgbAlpha, .depth = 16, .alpha = alpha}),
       OverWhite(image), 1},
      {"GreyAlphaPng", png({.colour = PngColour::kGreyAlpha, .alpha = alpha}),
       OverWhite(Red(image)), 1},
      {"SixteenBitGreyAlphaPng",
       png({.colour = PngColour::kGreyAlpha, .depth = 16, .alpha = alpha}), OverWhite(Red(image)),
       1},
      {"LosslessWebp", EncodeWebp(image), image, 0},
      {"LossyWebp", EncodeWebp(image, 95), image, 16, 3.0},
      {"LosslessWebpWithAlpha", EncodeWebp(image, 101, alpha), OverWhite(image), 1},
      {"Bmp", t::EncodeBmp(image), image, 0},
      {"Ppm", t::EncodePpm(image), image, 0},
      {"SixteenBitPpm", t::EncodePpm(image, 65535), image, 0},
      {"PpmOfWhite51", t::EncodePpm(image, 51), image, 3},
  };
}

INSTANTIATE_TEST_SUITE_P(Kinds, PixelTest, ::testing::ValuesIn(Pixels()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(DecodePng, LaysTransparentPaletteEntriesOverWhite) {
  // Entry 0 (black) is transparent, entry 1 (0, 0, 51) half so.
  const std::string transparency("\x00\x80", 2);
  const auto decode = [&](std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
    return Decode(EncodePng(DrawPlain(4, 4, red, green, blue),
                            {.colour = PngColour::kPalette, .chunks = {{"tRNS", transparency}}}),
                  {}, 0);
  };
  EXPECT_EQ(decode(0, 0, 0)->rgb, DrawPlain(4, 4, 255, 255, 255).rgb);
  EXPECT_EQ(decode(0, 0, 51)->rgb, DrawPlain(4, 4, 127, 127, 153).rgb);
  EXPECT_EQ(decode(51, 0, 0)->rgb, DrawPlain(4, 4, 51, 0, 0).rgb);
}

/// Grey of `depth` bits: 0 is black, the highest value white.
Image Coarse(const Image& image, int depth) {
  return Mapped(image, [&](const std::uint8_t* rgb, size_t, size_t) {
    return (rgb[0] >> (8 - depth)) * 255 / ((1 << depth) - 1);
  });
}

TEST(DecodePng, TakesFewBitsASample) {
  // 13 columns: rows end within a byte.
  const Image image = DrawGradient(13, 9);
  for (const int depth : {1, 2, 4}) {
    for (const bool interlaced : {false, true}) {
      SCOPED_TRACE(depth);
      const auto grey = Decode(
          EncodePng(image, {.colour = PngColour::kGrey, .depth = depth, .interlaced = interlaced}),
          {}, 0);
      ASSERT_THAT(grey, IsOk());
      EXPECT_EQ(grey->rgb, Coarse(image, depth).rgb);
      // White is transparent, and stays white.
      const std::string white{'\0', static_cast<char>((1 << depth) - 1)};
      const auto keyed = Decode(EncodePng(image, {.colour = PngColour::kGrey,
                                                  .depth = depth,
                                                  .interlaced = interlaced,
                                                  .chunks = {{"tRNS", white}}}),
                                {}, 0);
      ASSERT_THAT(keyed, IsOk());
      EXPECT_EQ(keyed->rgb, grey->rgb);
      // Black is, and becomes white.
      const auto black =
          Decode(EncodePng(DrawPlain(13, 9, 0, 0, 0), {.colour = PngColour::kGrey,
                                                       .depth = depth,
                                                       .interlaced = interlaced,
                                                       .chunks = {{"tRNS", std::string(2, '\0')}}}),
                 {}, 0);
      ASSERT_THAT(black, IsOk());
      EXPECT_EQ(black->rgb, DrawPlain(13, 9, 255, 255, 255).rgb);
      // Entry 1 of the palette is (0, 0, 51).
      const auto palette =
          Decode(EncodePng(DrawPlain(13, 9, 0, 0, 51), {.colour = PngColour::kPalette,
                                                        .depth = depth,
                                                        .interlaced = interlaced,
                                                        .chunks = {{"tRNS", "\xFF\x80"}}}),
                 {}, 0);
      ASSERT_THAT(palette, IsOk());
      EXPECT_EQ(palette->rgb, DrawPlain(13, 9, 127, 127, 153).rgb);
    }
  }
}

TEST(DecodeSize, MayBeOfOnePixelOrOfOneRow) {
  const Limits limits{.formats = {kAllFormats.begin(), kAllFormats.end()}};
  for (const auto& [width, height] : {std::pair<size_t, size_t>{1, 1}, {1, 4000}, {4000, 1}}) {
    const Image image = DrawPlain(width, height, 250, 250, 250);
    for (const std::string& bytes :
         {EncodeJpeg(image), EncodeJpeg(image, {.progressive = true}),
          EncodeJpeg(image, {.grey = true}), EncodePng(image),
          EncodePng(image, {.interlaced = true}), EncodeWebp(image), EncodeWebp(image, 80),
          orchard::testing::EncodeBmp(image), orchard::testing::EncodePpm(image)}) {
      for (const size_t enough : {0, 1, 224}) {
        const auto decoded = Decode(bytes, limits, enough);
        ASSERT_THAT(decoded, IsOk());
        EXPECT_GE(decoded->width, std::min(width, enough == 1 ? width / 8 : width));
        EXPECT_NEAR(decoded->rgb.front(), 250, 2);
        EXPECT_NEAR(decoded->rgb.back(), 250, 2);
      }
    }
  }
}

TEST(DecodePng, TakesTheTransparentColourForWhite) {
  const auto decode = [](PngColour colour, int depth, const std::string& key) {
    Image image = DrawPlain(2, 1, 10, 20, 30);
    image.rgb[3] = 11;  // The second pixel is another colour.
    return Decode(EncodePng(image, {.colour = colour, .depth = depth, .chunks = {{"tRNS", key}}}),
                  {}, 0)
        ->rgb;
  };
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(decode(PngColour::kRgb, 8, std::string("\0\12\0\24\0\36", 6)),
            (Bytes{255, 255, 255, 11, 20, 30}));
  EXPECT_EQ(decode(PngColour::kRgb, 16, std::string("\12\12\24\24\36\36", 6)),
            (Bytes{255, 255, 255, 11, 20, 30}));
  EXPECT_EQ(decode(PngColour::kGrey, 8, std::string("\0\12", 2)),
            (Bytes{255, 255, 255, 11, 11, 11}));
}

/// Where pixel (x, y) of the shown picture is in the stored one of W x H. Source: EXIF,
/// "Orientation": which sides of the shown picture the stored first row and column are.
struct Place {
  size_t x, y;
};
using Where = Place (*)(size_t x, size_t y, size_t w, size_t h);
constexpr Where kWhere[] = {
    [](size_t x, size_t y, size_t, size_t) { return Place{x, y}; },            // top, left
    [](size_t x, size_t y, size_t w, size_t) { return Place{w - 1 - x, y}; },  // top, right
    [](size_t x, size_t y, size_t w, size_t h) { return Place{w - 1 - x, h - 1 - y}; },
    [](size_t x, size_t y, size_t, size_t h) { return Place{x, h - 1 - y}; },  // bottom, left
    [](size_t x, size_t y, size_t, size_t) { return Place{y, x}; },            // left, top
    [](size_t x, size_t y, size_t, size_t h) { return Place{y, h - 1 - x}; },  // right, top
    [](size_t x, size_t y, size_t w, size_t h) { return Place{w - 1 - y, h - 1 - x}; },
    [](size_t x, size_t y, size_t w, size_t) { return Place{w - 1 - y, x}; },  // left, bottom
};

Image Shown(const Image& stored, int orientation) {
  Image shown = stored;
  if (orientation >= 5) std::swap(shown.width, shown.height);
  for (size_t y = 0; y < shown.height; ++y) {
    for (size_t x = 0; x < shown.width; ++x) {
      const Place from = kWhere[orientation - 1](x, y, stored.width, stored.height);
      std::copy_n(
          stored.rgb.begin() + static_cast<std::ptrdiff_t>((from.y * stored.width + from.x) * 3), 3,
          shown.rgb.begin() + static_cast<std::ptrdiff_t>((y * shown.width + x) * 3));
    }
  }
  return shown;
}

class OrientationTest : public ::testing::TestWithParam<int> {};

TEST_P(OrientationTest, TurnsPicturesOfAllFormats) {
  namespace t = orchard::testing;
  const int orientation = GetParam();
  const Image image = DrawLeaf(70, 45, 5);  // More than one tile of the copy each way.
  const auto expect = [&](const std::string& upright, const std::string& turned) {
    const auto want = Decode(upright, {}, 0);
    const auto got = Decode(turned, {}, 0);
    ASSERT_THAT(want, IsOk());
    ASSERT_THAT(got, IsOk());
    EXPECT_EQ(got->width, Shown(*want, orientation).width);
    EXPECT_EQ(got->rgb, Shown(*want, orientation).rgb);
  };
  const std::string jpeg = EncodeJpeg(image);
  expect(jpeg, t::WithOrientation(jpeg, orientation));
  const std::string webp = EncodeWebp(image);
  expect(webp, t::WithOrientation(webp, orientation));
  expect(EncodePng(image),
         EncodePng(image, {.chunks = {{"eXIf", t::ExifOrientation(orientation, true)}}}));
}

INSTANTIATE_TEST_SUITE_P(Eight, OrientationTest, ::testing::Range(1, 9));

struct ScaleCase {
  size_t enough;
  size_t width;
  size_t height;
};

class ScaleTest : public ::testing::TestWithParam<ScaleCase> {};

TEST_P(ScaleTest, IsTheSmallestWithEnoughPixels) {
  static const std::string jpeg = EncodeJpeg(DrawGradient(1000, 701));
  const auto image = Decode(jpeg, {}, GetParam().enough);
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->width, GetParam().width);
  EXPECT_EQ(image->height, GetParam().height);
  // Still the same picture: red grows from left to right, green downwards.
  const size_t last = image->rgb.size() - 3;
  EXPECT_LT(image->rgb[0], 12);
  EXPECT_LT(image->rgb[1], 12);
  EXPECT_GT(image->rgb[last], 243);
  EXPECT_GT(image->rgb[last + 1], 243);
}

INSTANTIATE_TEST_SUITE_P(Table, ScaleTest,
                         ::testing::Values(ScaleCase{0, 1000, 701}, ScaleCase{5000, 1000, 701},
                                           ScaleCase{352, 1000, 701}, ScaleCase{351, 500, 351},
                                           ScaleCase{256, 500, 351}, ScaleCase{177, 500, 351},
                                           ScaleCase{176, 250, 176}, ScaleCase{88, 125, 88},
                                           ScaleCase{1, 125, 88}));

TEST(DecodeScale, ShrinksEveryKindOfJpeg) {
  const Image image = DrawPlain(104, 72, 60, 60, 60);
  const std::vector<std::uint8_t> plane(13 * 9, 60);
  const std::vector<std::uint8_t> no_black(13 * 9, 255);
  for (const std::string& jpeg :
       {EncodeJpeg(image, {.grey = true}), EncodeJpeg(image, {.progressive = true}),
        orchard::testing::EncodeFlatJpeg(104, 72, {plane, plane, plane, no_black})}) {
    for (const size_t scale : {1, 2, 4, 8}) {
      const auto small = Decode(jpeg, {}, 72 / scale);
      ASSERT_THAT(small, IsOk());
      EXPECT_EQ(small->width, 104 / scale);
      EXPECT_EQ(small->height, 72 / scale);
      EXPECT_LE(Largest(*small, DrawPlain(104 / scale, 72 / scale, 60, 60, 60)), 1);
    }
  }
}

TEST(DecodeScale, LeavesOtherFormatsAlone) {
  EXPECT_EQ(Decode(EncodePng(DrawGradient(64, 64)), {}, 8)->width, 64);
  EXPECT_EQ(Decode(EncodeWebp(DrawGradient(64, 64)), {}, 8)->width, 64);
}

}  // namespace
}  // namespace orchard::vision
