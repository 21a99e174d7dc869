// What Decode refuses: limits, cuts, formats that are switched off, and tricks.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/vision/files.h"
#include "vision/decode.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawGradient;
using orchard::testing::DrawLeaf;
using orchard::testing::EncodeJpeg;
using orchard::testing::EncodePng;
using orchard::testing::EncodeWebp;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
const std::vector<Format> kEveryFormat(kAllFormats.begin(), kAllFormats.end());

TEST(DecodeLimits, RefusesTooManyBytesWithValueAndLimit) {
  const std::string bytes = EncodePng(DrawGradient(8, 8));
  EXPECT_THAT(Decode(bytes, {.max_bytes = bytes.size()}, 0), IsOk());
  EXPECT_THAT(Decode(bytes, {.max_bytes = bytes.size() - 1}, 0),
              StatusIs(kInvalid, AllOf(HasSubstr(std::to_string(bytes.size()) + " bytes"),
                                       HasSubstr(std::to_string(bytes.size() - 1)))));
}

TEST(DecodeLimits, RefusesTooManyPixelsWithValueAndLimit) {
  const std::string bytes = EncodePng(DrawGradient(8, 6));
  EXPECT_THAT(Decode(bytes, {.max_pixels = 48}, 0), IsOk());
  EXPECT_THAT(Decode(bytes, {.max_pixels = 47}, 0),
              StatusIs(kInvalid, AllOf(HasSubstr("8x6 = 48 pixels"), HasSubstr("limit is 47"))));
}

TEST(DecodeLimits, RefusesALongSideWithValueAndLimit) {
  const std::string bytes = EncodePng(DrawGradient(8, 6));
  EXPECT_THAT(Decode(bytes, {.max_side = 8}, 0), IsOk());
  EXPECT_THAT(Decode(bytes, {.max_side = 7}, 0),
              StatusIs(kInvalid, AllOf(HasSubstr("8x6"), HasSubstr("limit is 7 a side"))));
}

TEST(DecodeLimits, RefusesBombsByTheirHeaders) {
  namespace t = orchard::testing;
  for (const std::string& bomb :
       {t::PngBomb(50000, 50000), t::PngBomb(20000, 20000), t::JpegBomb(65500, 65500),
        t::JpegBomb(10000, 10000), t::WebpBomb(16384, 16384)}) {
    EXPECT_THAT(Decode(bomb, {}, 0), StatusIs(kInvalid, HasSubstr("the limit is")));
  }
}

TEST(DecodeFormats, AreThreeUnlessMoreAreSwitchedOn) {
  namespace t = orchard::testing;
  const Image image = DrawGradient(16, 8);
  for (const std::string& bytes : {EncodeJpeg(image), EncodePng(image), EncodeWebp(image)}) {
    EXPECT_THAT(Decode(bytes, {}, 0), IsOk());
  }
  EXPECT_THAT(
      Decode(t::EncodeBmp(image), {}, 0),
      StatusIs(kInvalid, HasSubstr("a BMP, and bmp is not among the formats accepted here; send "
                                   "JPEG, PNG or WebP")));
  EXPECT_THAT(Decode(t::EncodePpm(image), {}, 0), StatusIs(kInvalid, HasSubstr("ppm")));
  EXPECT_THAT(
      Decode(EncodeWebp(image), {.formats = {Format::kPng}}, 0),
      StatusIs(kInvalid, HasSubstr("webp is not among the formats accepted here; send PNG")));
}

// OpenCV offers what its WebP decoder refuses to those of DICOM and GDAL, which look further in.
TEST(DecodeFormats, NeverReachesTheDecodersOfDicomAndGdal) {
  std::string bytes = EncodeWebp(DrawLeaf(64, 64, 1), 80);
  ASSERT_EQ(bytes.substr(12, 4), "VP8 ");
  bytes[20] = static_cast<char>(bytes[20] | 0x0E);  // A profile that doesn't exist.
  EXPECT_THAT(Decode(bytes, {}, 0), StatusIs(kInvalid, HasSubstr("corrupt")));
  std::string dicom = bytes;
  dicom.replace(128, 4, "DICM");
  EXPECT_THAT(Decode(dicom, {}, 0), StatusIs(kInvalid, HasSubstr("DICOM")));
  std::string elevation = bytes;
  elevation.replace(140, 4, "DTED");
  EXPECT_THAT(Decode(elevation, {}, 0), StatusIs(kInvalid, HasSubstr("DTED")));
}

std::vector<FileCase> SmallFiles() {
  namespace t = orchard::testing;
  const Image image = DrawLeaf(40, 24, 3);
  const std::vector<std::uint8_t> alpha(40 * 24, 100);
  return {{"Jpeg", EncodeJpeg(image)},
          {"ProgressiveJpeg", EncodeJpeg(image, {.progressive = true})},
          {"TurnedJpeg", t::WithOrientation(EncodeJpeg(image), 6)},
          {"Png", EncodePng(image)},
          {"SixteenBitPng", EncodePng(image, {.depth = 16})},
          {"LosslessWebp", EncodeWebp(image)},
          {"LossyWebp", EncodeWebp(image, 80)},
          {"LossyWebpWithAlpha", EncodeWebp(image, 80, alpha)},
          {"Bmp", t::EncodeBmp(image)},
          {"Ppm", t::EncodePpm(image)}};
}

class CutTest : public ::testing::TestWithParam<FileCase> {};

/// What may be cut off without a pixel being lost: JPEG's end marker, PNG's end chunk, WebP's
/// padding byte.
size_t EndBytes(const std::string& bytes) {
  switch (bytes[0]) {
    case '\xFF':
      return 2;
    case '\x89':
      return 12;
    case 'R':
      return 1;
    default:
      return 0;
  }
}

TEST_P(CutTest, IsRefusedWhereverPixelsAreLost) {
  const Limits limits{.formats = kEveryFormat};
  const std::string& bytes = GetParam().bytes;
  const auto whole = Decode(bytes, limits, 0);
  ASSERT_THAT(whole, IsOk());
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE("cut to " + std::to_string(size) + " of " + std::to_string(bytes.size()));
    const auto image = Decode(std::string_view(bytes).substr(0, size), limits, 0);
    if (image.ok()) {
      ASSERT_GE(size, bytes.size() - EndBytes(bytes));
      ASSERT_EQ(image->rgb, whole->rgb);
      continue;
    }
    ASSERT_THAT(image,
                StatusIs(kInvalid, AllOf(AnyOf(HasSubstr("truncated"), HasSubstr("cut short"),
                                               HasSubstr("not a picture"), HasSubstr("no bytes")),
                                         Not(HasSubstr("corrupt")))));
  }
}

TEST_P(CutTest, MayHaveOtherDataBehindIt) {
  const Limits limits{.formats = kEveryFormat};
  const auto alone = Decode(GetParam().bytes, limits, 0);
  ASSERT_THAT(alone, IsOk());
  for (const std::string& tail : {std::string(1, '\0'), std::string("\r\nupload boundary"),
                                  EncodeJpeg(DrawGradient(8, 8)), std::string("\xFF\xD8\xFF")}) {
    const auto image = Decode(GetParam().bytes + tail, limits, 0);
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ(image->rgb, alone->rgb);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CutTest, ::testing::ValuesIn(SmallFiles()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(DecodeJpeg, IsNotFooledByTheEndOfAThumbnail) {
  const std::string thumbnail = EncodeJpeg(DrawGradient(8, 8));
  const std::string jpeg = EncodeJpeg(DrawLeaf(40, 24, 3));
  const size_t length = thumbnail.size() + 2;
  std::string app1("\xFF\xE1");
  app1.append({static_cast<char>(length >> 8), static_cast<char>(length & 0xFF)});
  const std::string whole = jpeg.substr(0, 2) + app1 + thumbnail + jpeg.substr(2);
  EXPECT_THAT(Decode(whole, {}, 0), IsOk());
  EXPECT_THAT(Decode(std::string_view(whole).substr(0, whole.size() - 40), {}, 0),
              StatusIs(kInvalid, HasSubstr("truncated")));
}

TEST(DecodeJpeg, RefusesMoreThanAHundredScans) {
  const std::string jpeg = orchard::testing::EncodeFlatJpeg(8, 8, {{200}});
  const size_t start = jpeg.find("\xFF\xDA");
  const std::string scan = jpeg.substr(start, jpeg.size() - 2 - start);
  std::string bytes = jpeg.substr(0, start);
  for (int i = 0; i < 101; ++i) bytes += scan;
  EXPECT_THAT(Decode(bytes + "\xFF\xD9", {}, 0), StatusIs(kInvalid, HasSubstr("100 scans")));
}

/// Where the pixels of the last scan are: between its header and the end marker.
struct Data {
  size_t begin, end;
};

Data LastScan(const std::string& jpeg) {
  const size_t header = jpeg.rfind("\xFF\xDA") + 2;
  const auto byte = [&](size_t at) { return static_cast<std::uint8_t>(jpeg[at]); };
  return {.begin = header + (byte(header) << 8 | byte(header + 1)), .end = jpeg.size() - 2};
}

/// What goes wrong with a file whose structure stays sound, so that only libjpeg can tell.
std::vector<FileCase> DamagedFiles() {
  std::vector<FileCase> files;
  for (const bool progressive : {false, true}) {
    const std::string sound = EncodeJpeg(DrawLeaf(40, 24, 3), {.progressive = progressive});
    const auto [begin, end] = LastScan(sound);
    const size_t middle = (begin + end) / 2;
    const auto add = [&](const char* name, std::string bytes) {
      files.push_back({(progressive ? "Progressive" : "") + std::string(name), std::move(bytes)});
    };
    add("HalfLost", std::string(sound).erase(middle, end - middle));
    add("MarkerInTheMiddle", std::string(sound).insert(middle, "\xFF\xD3"));
  }
  // A byte FF in the data is followed by 00; sixteen ones are no code in any table.
  std::string ones = EncodeJpeg(DrawLeaf(40, 24, 3));
  const size_t at = LastScan(ones).begin + 30;
  for (size_t i = 0; i < 16; i += 2) ones.replace(at + i, 2, "\xFF\0", 2);
  files.push_back({"CodesThatDoNotExist", ones});
  return files;
}

class DamagedTest : public ::testing::TestWithParam<FileCase> {};

TEST_P(DamagedTest, IsRefusedInSilence) {
  for (const size_t enough : {0, 12}) {
    EXPECT_EQ(Stderr([&] {
                EXPECT_THAT(Decode(GetParam().bytes, {}, enough),
                            StatusIs(kInvalid, HasSubstr("JPEG: not decodable: Corrupt")));
              }),
              "");
  }
}

INSTANTIATE_TEST_SUITE_P(Jpeg, DamagedTest, ::testing::ValuesIn(DamagedFiles()),
                         [](const auto& param_info) { return param_info.param.name; });

/// What libjpeg warns about, but programs and cameras do, and nobody sees in the picture.
std::vector<FileCase> OddFiles() {
  const std::string sound = EncodeJpeg(DrawLeaf(40, 24, 3));
  const auto [begin, end] = LastScan(sound);
  constexpr size_t kJfifSegment = 18;  // bytes, behind the start marker
  const std::string adobe =
      std::string("\xFF\xEE\0\x0E", 4) + std::string("Adobe\0\x64\0\0\0\0\7", 12);
  return {
      {"PaddedBeforeTheEnd", std::string(sound).insert(end, 16, '\0')},
      {"BytesBetweenSegments", std::string(sound).insert(sound.find("\xFF\xC0"), 600, '\0')},
      // Start and end of a band of frequencies, which only progressive pictures have.
      {"ScanOfABand", std::string(sound).replace(begin - 3, 3, 3, '\0')},
      {"JfifOfVersionZero", std::string(sound).replace(11, 1, 1, '\0')},
      {"UnknownColourTransform", std::string(sound).replace(2, kJfifSegment, adobe)},
  };
}

class OddTest : public ::testing::TestWithParam<FileCase> {};

TEST_P(OddTest, IsDecodedInSilence) {
  const auto want = Decode(EncodeJpeg(DrawLeaf(40, 24, 3)), {}, 0);
  ASSERT_THAT(want, IsOk());
  EXPECT_EQ(Stderr([&] {
              const auto image = Decode(GetParam().bytes, {}, 0);
              ASSERT_THAT(image, IsOk());
              EXPECT_EQ(image->rgb, want->rgb);
            }),
            "");
}

INSTANTIATE_TEST_SUITE_P(Jpeg, OddTest, ::testing::ValuesIn(OddFiles()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(DecodePng, RefusesPixelsThatEndBeforeThePicture) {
  // A sound file with IEND, whose pixels are those of a smaller picture.
  EXPECT_THAT(Decode(orchard::testing::PngBomb(300, 300), {}, 0),
              StatusIs(kInvalid, HasSubstr("corrupt")));
}

TEST(DecodePng, RefusesAWrongChecksum) {
  std::string bytes = EncodePng(DrawGradient(40, 24));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_THAT(Decode(bytes, {}, 0), StatusIs(kInvalid, HasSubstr("corrupt")));
}

}  // namespace
}  // namespace orchard::vision
