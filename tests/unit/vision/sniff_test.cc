#include "vision/sniff.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/vision/files.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawGradient;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::HasSubstr;

struct SizeCase {
  std::string name;
  std::string bytes;
  Format format;
  std::uint64_t width;
  std::uint64_t height;
  int orientation = 1;
};

class SniffTest : public ::testing::TestWithParam<SizeCase> {};

TEST_P(SniffTest, ReadsFormatAndSizeFromTheHeader) {
  const absl::StatusOr<Header> header = Sniff(GetParam().bytes);
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(Name(header->format), Name(GetParam().format));
  EXPECT_EQ(header->width, GetParam().width);
  EXPECT_EQ(header->height, GetParam().height);
  EXPECT_EQ(header->orientation, GetParam().orientation);
}

std::vector<SizeCase> Sizes() {
  namespace t = orchard::testing;
  const Image image = DrawGradient(40, 24);
  const std::string jpeg = t::EncodeJpeg(image);
  const std::string webp = t::EncodeWebp(image);
  const std::vector<std::uint8_t> alpha(40 * 24, 100);
  return {
      {"Jpeg", jpeg, Format::kJpeg, 40, 24},
      {"ProgressiveJpeg", t::EncodeJpeg(image, {.progressive = true}), Format::kJpeg, 40, 24},
      {"TurnedJpeg", t::WithOrientation(jpeg, 6), Format::kJpeg, 40, 24, 6},
      {"JpegBomb", t::JpegBomb(65500, 65500), Format::kJpeg, 65500, 65500},
      {"Png", t::EncodePng(image), Format::kPng, 40, 24},
      {"TurnedPng",
       t::EncodePng(image, {.chunks = {{"eXIf", t::ExifOrientation(8, /*big_endian=*/true)}}}),
       Format::kPng, 40, 24, 8},
      {"OrientationOutOfRange", t::EncodePng(image, {.chunks = {{"eXIf", t::ExifOrientation(9)}}}),
       Format::kPng, 40, 24, 1},
      {"PngBomb", t::PngBomb(50000, 50000), Format::kPng, 50000, 50000},
      {"LosslessWebp", webp, Format::kWebp, 40, 24},
      {"LossyWebp", t::EncodeWebp(image, 80), Format::kWebp, 40, 24},
      {"LossyWebpWithAlpha", t::EncodeWebp(image, 80, alpha), Format::kWebp, 40, 24},
      {"TurnedWebp", t::WithOrientation(webp, 3), Format::kWebp, 40, 24, 3},
      {"WebpBomb", t::WebpBomb(16384, 16384), Format::kWebp, 16384, 16384},
      {"Bmp", t::EncodeBmp(image), Format::kBmp, 40, 24},
      {"Ppm", t::EncodePpm(image), Format::kPpm, 40, 24},
      // The body may be missing: the header is enough.
      {"CutJpeg", jpeg.substr(0, jpeg.size() - 10), Format::kJpeg, 40, 24},
      {"CutPng", t::EncodePng(image).substr(0, 40), Format::kPng, 40, 24},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, SniffTest, ::testing::ValuesIn(Sizes()),
                         [](const auto& param_info) { return param_info.param.name; });

class SniffRefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(SniffRefusalTest, SaysWhatIsWrong) {
  EXPECT_THAT(Sniff(GetParam().bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().reason)));
}

/// The bytes with `replacement` at `offset`.
std::string Patched(std::string bytes, size_t offset, std::string_view replacement) {
  return bytes.replace(offset, replacement.size(), replacement);
}

/// `width` and `height` are at fixed places in these files of our own encoders.
std::vector<RefusalCase> Refusals() {
  namespace t = orchard::testing;
  const Image image = DrawGradient(40, 24);
  const std::string flat = t::EncodeFlatJpeg(8, 8, {{128}});
  const size_t frame = flat.find("\xFF\xC0");
  const std::string png = t::EncodePng(image);
  const std::string webp = t::EncodeWebp(image);
  const std::string ppm = t::EncodePpm(image);
  const std::string two(2, '\0');
  const std::string animation("\0\0\0\2\0\0\0\0", 8);
  const t::PngChunk shown{.type = "fcTL", .data = std::string(26, '\0')};
  return {
      {"Nothing", "", "no bytes"},
      {"HalfAMagic", "\x89PNG", "not a picture"},
      {"JpegMagicOnly", "\xFF\xD8\xFF", "cut short before the frame header"},
      {"JpegCutInTables", flat.substr(0, 30), "cut short before the frame header"},
      {"JpegWithoutRows", Patched(flat, frame + 5, two), "empty picture, 8x0"},
      {"JpegWithoutColumns", Patched(flat, frame + 7, two), "empty picture, 0x8"},
      {"JpegOfTwelveBits", Patched(flat, frame + 4, "\x0C"), "12 bits a sample"},
      {"JpegOfTwoComponents", Patched(flat, frame + 9, "\x02"), "2 colour components"},
      {"LosslessJpeg", Patched(flat, frame + 1, "\xC3"), "SOF3 is lossless"},
      {"JpegSegmentOfOneByte", Patched(flat, frame + 2, std::string("\0\1", 2)), "a segment of 1"},
      {"JpegOfTwoFrames", flat.substr(0, frame + 13) + flat.substr(frame), "more than one frame"},
      {"PngMagicOnly", png.substr(0, 8), "cut short in the header"},
      {"PngOfOtherFirstChunk", Patched(png, 12, "IDAT"), "does not begin with a header"},
      {"PngWithoutColumns", t::PngBomb(0, 5), "empty picture, 0x5"},
      {"PngWithoutRows", t::PngBomb(5, 0), "empty picture, 5x0"},
      {"PngOfSixColours", Patched(png, 25, "\x05"), "colour type 5 with 8 bits"},
      {"PngOfThreeBits", Patched(png, 24, "\x03"), "colour type 2 with 3 bits"},
      {"AnimatedPng", t::EncodePng(image, {.chunks = {{"acTL", animation}, shown, shown}}),
       "2 frames"},
      {"WebpMagicOnly", webp.substr(0, 12), "no pixels"},
      {"WebpOfOtherSize", Patched(t::WithOrientation(webp, 1), 24, "\x63"),
       "the header says 100x24"},
      {"AnimatedWebp", t::AnimateWebp(40, 24, {{webp}, {webp}}), "an animation of 2 frames"},
      {"WebpOfWrongVersion", Patched(webp, 24, "\xF0"), "wrong signature or version"},
      {"BmpMagicOnly", "BM", "header cut short"},
      {"BmpWithoutRows", Patched(t::EncodeBmp(image), 22, two + two), "empty picture, 40x0"},
      {"CompressedBmp", Patched(t::EncodeBmp(image), 30, "\x01"), "compression 1"},
      {"PpmWithoutNumbers", "P6\nforty two\n255\n", "holds no numbers"},
      {"PpmWithoutColumns", "P6\n0 4\n255\n", "empty picture, 0x4"},
      {"PpmOfNoWhite", "P6\n4 4\n0\n", "white is 0"},
      {"PpmOfAstronomicalSize", "P6\n99999999999999999999 4\n255\n", "holds no numbers"},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, SniffRefusalTest, ::testing::ValuesIn(Refusals()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::vision
