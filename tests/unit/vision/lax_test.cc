// What the world writes and every other reader shows: the picture is the one of the sound file.

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/vision/files.h"
#include "vision/decode.h"

namespace orchard::vision {
namespace {

namespace t = orchard::testing;
using orchard::testing::DrawLeaf;
using orchard::testing::DrawPlain;
using orchard::testing::EncodeJpeg;
using orchard::testing::EncodePng;
using orchard::testing::EncodeWebp;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Image Leaf() { return DrawLeaf(72, 56, 3); }

std::string Png(const t::PngOptions& options) { return EncodePng(Leaf(), options); }

const std::string& Rgb() {
  static const std::string rgb = [] {
    const Image leaf = Leaf();
    return std::string(leaf.rgb.begin(), leaf.rgb.end());
  }();
  return rgb;
}

std::string Turned(const std::string& file, int orientation) {
  return t::WithOrientation(file, orientation);
}

/// Where the n-th (from 0) restart marker of a JPEG is.
size_t Restart(const std::string& jpeg, size_t n) {
  size_t at = jpeg.find("\xFF\xDA") + 14;
  for (;; ++at) {
    at = jpeg.find('\xFF', at);
    const auto code = static_cast<std::uint8_t>(jpeg[at + 1]);
    if (code >= 0xD0 && code <= 0xD7 && n-- == 0) return at;
  }
}

struct LaxCase {
  std::string name;
  std::string odd;
  std::string sound;  ///< shows the same
};

class LaxTest : public ::testing::TestWithParam<LaxCase> {};

TEST_P(LaxTest, ShowsThePictureInSilence) {
  for (const size_t enough : {0, 20}) {
    const auto want = Decode(GetParam().sound, {}, enough);
    ASSERT_THAT(want, IsOk());
    EXPECT_EQ(Stderr([&] {
                const auto image = Decode(GetParam().odd, {}, enough);
                ASSERT_THAT(image, IsOk());
                EXPECT_EQ(image->width, want->width);
                EXPECT_EQ(image->height, want->height);
                EXPECT_EQ(image->rgb, want->rgb);
              }),
              "");
  }
}

/// Bytes that are no zeros and no marker.
std::string Remains(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(1 + i * 37 % 250);
  return bytes;
}

std::vector<LaxCase> StrayBytes() {
  std::vector<LaxCase> cases;
  const auto add = [&](const std::string& kind, const std::string& jpeg) {
    const std::string body = jpeg.substr(0, jpeg.size() - 2);
    const std::string end = "\xFF\xD9";
    const std::string comment("\xFF\xFE\0\6abcd", 8);
    for (const size_t count : {17, 24, 101, 600, 60000}) {
      const std::string n = std::to_string(count);
      cases.push_back({kind + n + "ZerosBeforeEnd", body + std::string(count, '\0') + end, jpeg});
      cases.push_back({kind + n + "BytesBeforeEnd", body + Remains(count) + end, jpeg});
      cases.push_back(
          {kind + n + "BytesBeforeComment", body + Remains(count) + comment + end, jpeg});
    }
    cases.push_back({kind + "FillBytesBeforeEnd", body + std::string(40, '\xFF') + end, jpeg});
    cases.push_back({kind + "NoEnd", body, jpeg});
    cases.push_back({kind + "HalfAnEnd", body + '\xFF', jpeg});
    cases.push_back({kind + "NoEndButText", body + "SEFH and what else a phone leaves", jpeg});
    cases.push_back({kind + "NoEndButAPicture", body + EncodeJpeg(DrawPlain(8, 8, 1, 2, 3)), jpeg});
    cases.push_back({kind + "NoEndButAFrame", body + std::string("\xFF\xC0\0\2", 4), jpeg});
    cases.push_back({kind + "NoEndButASegmentWithoutEnd", body + "\xFF\xE1\x7F\x7F mp4", jpeg});
    cases.push_back(
        {kind + "NoEndButASegmentOfNothing", body + std::string("\xFF\xE1\0\0", 4), jpeg});
    cases.push_back({kind + "TwoEnds", jpeg + end + Remains(99), jpeg});
  };
  add("", EncodeJpeg(Leaf()));
  add("Grey", EncodeJpeg(Leaf(), {.grey = true}));
  add("Progressive", EncodeJpeg(Leaf(), {.progressive = true}));
  add("Restarts", EncodeJpeg(Leaf(), {.restart_interval = 3}));
  add("ProgressiveGrey", EncodeJpeg(Leaf(), {.progressive = true, .grey = true}));
  return cases;
}

INSTANTIATE_TEST_SUITE_P(JpegStray, LaxTest, ::testing::ValuesIn(StrayBytes()),
                         [](const auto& param_info) { return param_info.param.name; });

std::vector<LaxCase> Restarts() {
  const std::string jpeg = EncodeJpeg(Leaf(), {.restart_interval = 3});
  std::string all_the_same = jpeg;
  std::string backwards = jpeg;
  for (size_t n = 0; n < 6; ++n) {
    const size_t at = Restart(jpeg, n);
    all_the_same[at + 1] = '\xD0';
    backwards[at + 1] = static_cast<char>(0xD7 - n % 8);
  }
  return {
      {"BytesBeforeOne", std::string(jpeg).insert(Restart(jpeg, 1), Remains(600)), jpeg},
      {"NoMarkerBeforeOne",
       std::string(jpeg).insert(Restart(jpeg, 1), Remains(20) + "\xFF\x05" + Remains(20)), jpeg},
      {"ZerosBeforeOne", std::string(jpeg).insert(Restart(jpeg, 2), 17, '\0'), jpeg},
      {"FillBytesBeforeOne", std::string(jpeg).insert(Restart(jpeg, 2), 5, '\xFF'), jpeg},
      {"AllTheSame", all_the_same, jpeg},
      {"CountedBackwards", backwards, jpeg},
  };
}

INSTANTIATE_TEST_SUITE_P(JpegRestarts, LaxTest, ::testing::ValuesIn(Restarts()),
                         [](const auto& param_info) { return param_info.param.name; });

std::vector<LaxCase> ExifBlocks() {
  const std::string jpeg = EncodeJpeg(Leaf());
  const auto with = [&](const std::vector<std::string>& blocks) {
    std::string file = jpeg.substr(0, 2);
    for (const std::string& block : blocks) file += t::ExifSegment(block);
    return file + jpeg.substr(2);
  };
  const std::string three = t::ExifOrientation(3);
  const std::string garbled = "XX" + three.substr(2);
  std::string sixth = with({three});
  sixth[11] = '\x20';  // "Exif", a zero, then not another zero.
  const std::string png_three = Png({.chunks = {{"eXIf", three}}});
  const std::string webp = EncodeWebp(Leaf());
  const std::string webp_three = Turned(webp, 3);
  std::string without_flag = webp_three;
  without_flag[20] = '\0';
  return {
      {"JpegThenUpright", with({three, t::ExifOrientation(1)}), Turned(jpeg, 3)},
      {"JpegThenWithout", with({three, t::ExifOrientation(0)}), Turned(jpeg, 3)},
      {"JpegThenSix", with({three, t::ExifOrientation(6)}), Turned(jpeg, 3)},
      {"JpegWithoutThenThree", with({t::ExifOrientation(0), three}), jpeg},
      {"JpegGarbledThenThree", with({garbled, three}), Turned(jpeg, 3)},
      {"JpegBigEndian", with({t::ExifOrientation(3, /*big_endian=*/true)}), Turned(jpeg, 3)},
      {"JpegOutOfRange", with({t::ExifOrientation(9)}), jpeg},
      {"JpegZeroIsNone", with({t::ExifOrientation(0)}), jpeg},
      {"JpegSixthByte", sixth, Turned(jpeg, 3)},
      {"JpegBehindThePixels", jpeg.substr(0, jpeg.size() - 2) + t::ExifSegment(three) + "\xFF\xD9",
       jpeg},
      {"JpegAfterJfif", std::string(jpeg).insert(20, t::ExifSegment(three)), Turned(jpeg, 3)},
      {"PngTwo", Png({.chunks = {{"eXIf", three}, {"eXIf", t::ExifOrientation(6)}}}), png_three},
      {"PngBehindThePixels", Png({.behind = {{"eXIf", three}}}), png_three},
      {"PngDamaged", Png({.chunks = {{.type = "eXIf", .data = three, .sound = false}}}), Png({})},
      {"WebpWithoutItsFlag", without_flag, webp},
  };
}

INSTANTIATE_TEST_SUITE_P(Exif, LaxTest, ::testing::ValuesIn(ExifBlocks()),
                         [](const auto& param_info) { return param_info.param.name; });

std::string Big32(std::uint64_t value) { return BigEndian(value, 4); }

/// acTL of so many frames.
t::PngChunk Animation(std::uint32_t frames) {
  return {.type = "acTL", .data = Big32(frames) + Big32(0)};
}

/// fcTL of the whole leaf.
t::PngChunk Frame(std::uint32_t number) {
  return {.type = "fcTL",
          .data = Big32(number) + Big32(72) + Big32(56) + Big32(0) + Big32(0) +
                  std::string("\0\1\0\x0A\0\0", 6)};
}

std::vector<LaxCase> Pngs() {
  const std::string png = Png({});
  const std::string key("\0\12\0\24\0\36", 6);
  const size_t end = png.size() - 12;
  std::string wrong_crc = png;
  wrong_crc.back() = '\0';
  return {
      {"NoEnd", png.substr(0, end), png},
      {"EndWithoutChecksum", png.substr(0, end + 8), png},
      {"EndWithWrongChecksum", wrong_crc, png},
      {"HalfAnEnd", png.substr(0, end + 5), png},
      {"NoEndButText", png.substr(0, end) + "\r\nupload boundary", png},
      {"CutInTextBehind", Png({.behind = {{"tEXt", std::string(99, 'a')}}}).substr(0, end + 50),
       png},
      {"DamagedText", Png({.chunks = {{.type = "tEXt", .data = "a", .sound = false}}}), png},
      {"DamagedProfile", Png({.chunks = {{"iCCP", "no profile"}}}), png},
      {"DamagedTransparency", Png({.chunks = {{.type = "tRNS", .data = key, .sound = false}}}),
       png},
      {"TransparencyBehindThePixels", Png({.behind = {{"tRNS", key}}}), png},
      {"TransparencyWhereThereIsAlpha",
       Png({.colour = t::PngColour::kRgbAlpha, .chunks = {{"tRNS", key}}}), png},
      {"DamagedSuggestedPalette", Png({.chunks = {{.type = "PLTE", .data = "a", .sound = false}}}),
       png},
      {"ChunkOfNoName", Png({.chunks = {{std::string("\1\2\3\4"), "?"}}}), png},
      {"Interlaced", Png({.interlaced = true}), png},
      {"AnimationOfOne", Png({.chunks = {Animation(1), Frame(0)}}), png},
      {"AnimationOfNone", Png({.chunks = {Animation(0)}}), png},
      {"AnimationWithoutFrames", Png({.chunks = {Animation(2)}}), png},
      {"AnimationBehindThePixels",
       Png({.chunks = {Frame(0)}, .behind = {Animation(2), Frame(1), {"fdAT", Big32(2)}}}), png},
  };
}

INSTANTIATE_TEST_SUITE_P(Png, LaxTest, ::testing::ValuesIn(Pngs()),
                         [](const auto& param_info) { return param_info.param.name; });

/// The leaf, 72 x 56, at (8, 4) of a white canvas of 100 x 80.
Image OnCanvas() {
  Image canvas = DrawPlain(100, 80, 255, 255, 255);
  for (size_t y = 0; y < 56; ++y) {
    std::copy_n(Rgb().begin() + static_cast<std::ptrdiff_t>(y * 72 * 3), 72 * 3,
                canvas.rgb.begin() + static_cast<std::ptrdiff_t>(((y + 4) * 100 + 8) * 3));
  }
  return canvas;
}

std::string Little32(std::uint64_t value) { return LittleEndian(value, 4); }

TEST(LaxWebpTest, HasOneThatIsSmallerThanAnOpenCvHeader) {
  EXPECT_EQ(t::EncodeFlatWebp(60, 40, 128).size(), 30);
}

std::vector<LaxCase> Webps() {
  std::vector<LaxCase> cases;
  const auto add = [&](const std::string& kind, const std::string& webp) {
    const auto claiming = [&](size_t size) {
      return std::string(webp).replace(4, 4, Little32(size));
    };
    const size_t size = webp.size() - 8;
    cases.push_back({kind + "ClaimsMore", claiming(size + 1), webp});
    cases.push_back({kind + "ClaimsMuchMore", claiming(0xFFFFFFFE), webp});
    cases.push_back({kind + "ClaimsLess", claiming(size - 1), webp});
    cases.push_back({kind + "ClaimsNothing", claiming(0), webp});
    cases.push_back({kind + "AndBytesBehind", webp + Remains(33), webp});
    cases.push_back({kind + "AndAChunkCutShort",
                     std::string(webp).replace(4, 4, Little32(size + 108)) + "XMP d   <x:xmp",
                     webp});
    cases.push_back({kind + "OneFrame", t::AnimateWebp(72, 56, {{webp}}), webp});
  };
  const std::string lossless = EncodeWebp(Leaf());
  add("Lossless", lossless);
  add("Lossy", EncodeWebp(Leaf(), 80));
  // Of an odd number of bytes, the padding byte is missing.
  for (std::uint64_t seed = 1;; ++seed) {
    const std::string webp = EncodeWebp(DrawLeaf(48, 40, seed));
    if (webp[16] % 2 == 0) continue;
    cases.push_back({"NoPadding", webp.substr(0, webp.size() - 1), webp});
    break;
  }
  std::string flagged = t::WithOrientation(lossless, 1);
  flagged[20] = static_cast<char>(flagged[20] | 2);
  cases.push_back({"AnimationWithoutFrames", flagged, lossless});
  cases.push_back(
      {"OneFrameOnACanvas", t::AnimateWebp(100, 80, {{lossless, 8, 4}}), EncodePng(OnCanvas())});
  // Smaller than what OpenCV wants to see of a file.
  cases.push_back(
      {"OfThirtyBytes", t::EncodeFlatWebp(60, 40, 128), EncodePng(DrawPlain(60, 40, 0, 128, 0))});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Webp, LaxTest, ::testing::ValuesIn(Webps()),
                         [](const auto& param_info) { return param_info.param.name; });

/// Pixels are missing, or viewers would show one picture after the other.
class StillRefusedTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(StillRefusedTest, SaysWhy) {
  EXPECT_THAT(Decode(GetParam().bytes, {}, 0), StatusIs(kInvalid, HasSubstr(GetParam().reason)));
}

std::vector<RefusalCase> Refusals() {
  const std::string jpeg = EncodeJpeg(Leaf());
  const std::string progressive = EncodeJpeg(Leaf(), {.progressive = true});
  const std::string restarts = EncodeJpeg(Leaf(), {.restart_interval = 3});
  const std::string png = Png({});
  const std::string webp = EncodeWebp(Leaf());
  const std::string trailer = "SEFH and what else a phone leaves";
  const size_t lost = Restart(restarts, 1);
  std::string arithmetic = jpeg;
  arithmetic[arithmetic.find("\xFF\xC0") + 1] = '\xC9';
  return {
      {"JpegCut", jpeg.substr(0, jpeg.size() - 40), "truncated, the file ends inside the pixels"},
      {"JpegCutByOneByte", jpeg.substr(0, jpeg.size() - 3), "truncated"},
      {"JpegCutWithTrailer", jpeg.substr(0, jpeg.size() / 2) + trailer, "JPEG: "},
      {"JpegCutWithPicture", jpeg.substr(0, jpeg.size() / 2) + jpeg, "truncated"},
      {"ProgressiveCut", progressive.substr(0, progressive.size() - 40), "truncated"},
      {"ProgressiveWithoutItsLastScan", progressive.substr(0, progressive.rfind("\xFF\xC4")),
       "the end marker (EOI) is missing"},
      {"RestartIntervalLost", std::string(restarts).erase(lost, Restart(restarts, 2) - lost),
       "premature end"},
      // Zeros are taken for data; there is no telling where they begin.
      {"ArithmeticWithoutEnd", arithmetic.substr(0, arithmetic.size() - 2), "end marker"},
      {"PngCut", png.substr(0, png.size() - 40), "truncated, the file ends inside the pixels"},
      {"PngCutInChecksum", png.substr(0, png.size() - 14), "truncated"},
      {"PngWithoutPixels", png.substr(0, 33), "truncated, no pixels"},
      {"AnimatedPng",
       Png({.chunks = {Animation(2), Frame(0)}, .behind = {Frame(1), {"fdAT", Big32(2)}}}),
       "an animation of 2 frames; send one of them as a picture"},
      {"AnimatedWebp", t::AnimateWebp(72, 56, {{webp}, {webp}, {webp}}),
       "an animation of 3 frames; send one of them as a picture"},
      {"WebpCut", webp.substr(0, webp.size() - 40), "truncated"},
      {"WebpFrameOutsideItsCanvas", t::AnimateWebp(72, 56, {{webp, 2, 0}}),
       "the header says 72x56"},
      {"WebpFrameCut", t::AnimateWebp(72, 56, {{webp}}).substr(0, webp.size() - 10), "truncated"},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, StillRefusedTest, ::testing::ValuesIn(Refusals()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::vision
