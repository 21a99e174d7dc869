// Whatever the bytes, Sniff and Decode answer OK or INVALID_ARGUMENT and stay within the limits.

#include <random>
#include <string>
#include <sys/resource.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/unit/vision/files.h"
#include "vision/decode.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawLeaf;

constexpr size_t kMutations = 2000;  // of each file

std::vector<FileCase> Samples() {
  namespace t = orchard::testing;
  const Image image = DrawLeaf(48, 36, 4);
  const std::vector<std::uint8_t> alpha(48 * 36, 100);
  return {
      {"Jpeg", t::WithOrientation(t::EncodeJpeg(image), 6)},
      {"ProgressiveJpeg", t::EncodeJpeg(image, {.progressive = true})},
      {"CmykJpeg", t::EncodeFlatJpeg(16, 8, {{255, 9}, {128, 8}, {0, 7}, {204, 6}})},
      {"Png", t::EncodePng(image, {.chunks = {{"eXIf", t::ExifOrientation(8)}}})},
      {"PalettePng", t::EncodePng(image, {.colour = t::PngColour::kPalette,
                                          .chunks = {{"tRNS", std::string("\0\1\2", 3)}}})},
      {"SixteenBitAlphaPng",
       t::EncodePng(image, {.colour = t::PngColour::kRgbAlpha, .depth = 16, .alpha = alpha})},
      {"LosslessWebp", t::WithOrientation(t::EncodeWebp(image), 5)},
      {"LossyWebp", t::EncodeWebp(image, 80)},
      {"LossyWebpWithAlpha", t::EncodeWebp(image, 80, alpha)},
      {"Bmp", t::EncodeBmp(image)},
      {"Ppm", t::EncodePpm(image)},
  };
}

std::string Mutated(std::string bytes, std::mt19937_64& random) {
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  // Half of all changes hit the first bytes, where the structure is.
  const auto place = [&] {
    return below(below(2) == 0 ? std::min<size_t>(64, bytes.size()) : bytes.size());
  };
  for (size_t times = 1 + below(4); times > 0 && bytes.size() > 4; --times) {
    const size_t at = place();
    switch (below(5)) {
      case 0:  // flip a bit
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:  // an extreme value
        bytes[at] = below(2) == 0 ? '\0' : '\xFF';
        break;
      case 2:  // cut
        if (below(4) == 0) bytes.resize(1 + at);
        break;
      case 3:  // repeat a piece elsewhere
        bytes.insert(place(), bytes.substr(at, 1 + below(40)));
        break;
      default:  // leave a piece out
        bytes.erase(at, 1 + below(16));
        break;
    }
  }
  return bytes;
}

long PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class MutationTest : public ::testing::TestWithParam<FileCase> {};

TEST_P(MutationTest, IsDecodedOrRefused) {
  // 100 thousand pixels are 0.3 MB as RGB; the libraries may take a few times as much.
  const Limits limits{
      .max_bytes = 1 << 20,
      .max_pixels = 100'000,
      .max_side = 2000,
      .formats = {Format::kJpeg, Format::kPng, Format::kWebp, Format::kBmp, Format::kPpm}};
  std::mt19937_64 random(20240607);
  [[maybe_unused]] const long before = PeakKilobytes();
  size_t decoded = 0;
  for (size_t i = 0; i < kMutations; ++i) {
    const std::string bytes = Mutated(GetParam().bytes, random);
    const auto header = Sniff(bytes);
    const auto image = Decode(bytes, limits, i % 3 == 0 ? 16 : 0);
    if (image.ok()) {
      ++decoded;
      ASSERT_TRUE(header.ok());
      ASSERT_LE(image->width * image->height, limits.max_pixels);
      ASSERT_EQ(image->rgb.size(), image->width * image->height * 3);
    } else {
      ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << image.status();
      ASSERT_FALSE(image.status().message().empty());
    }
  }
  EXPECT_GT(decoded, 0);  // Otherwise the mutations never get past the header.
  EXPECT_LT(decoded, kMutations);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory on purpose
  EXPECT_LT(PeakKilobytes() - before, 32 * 1024);
#endif
}

/// A piece of a file that says how long it is, and is shorter than its kind should be.
struct ShortPiece {
  std::string file;  ///< where it was put in
  std::string what;
};

/// What pieces begin with in the world: prefixes of EXIF blocks and of pixels, zeros, ones.
std::vector<std::string> Contents() {
  const std::string tiff = orchard::testing::ExifOrientation(6);
  return {std::string("Exif\0\0", 6) + tiff,
          std::string("Exif\0", 5) + tiff,
          tiff,
          std::string(32, '\0'),
          std::string(32, '\xFF'),
          std::string("\x10\0\0\x9D\x01\x2A\x10\0\x10\0", 10) + std::string(22, '\0'),
          "/" + std::string(31, '\0')};
}

std::vector<ShortPiece> ShortPieces() {
  namespace t = orchard::testing;
  const Image image = DrawLeaf(48, 36, 4);
  const std::string jpeg = t::EncodeJpeg(image);
  const std::string webp = t::WithOrientation(t::EncodeWebp(image), 5);
  const std::string flat = t::EncodeWebp(image);
  std::vector<ShortPiece> pieces;
  for (const std::string& content : Contents()) {
    for (size_t length = 0; length <= content.size(); ++length) {
      const std::string data = content.substr(0, length);
      const auto add = [&](const std::string& kind, const std::string& file) {
        pieces.push_back({file, kind + " of " + std::to_string(length) + " bytes"});
      };
      for (const std::string type : {"EXIF", "ALPH", "ANMF", "VP8X", "VP8 ", "VP8L", "XMP "}) {
        const std::string chunk =
            type + LittleEndian(length, 4) + data + std::string(length % 2, '\0');
        add(type, std::string(webp).insert(30, chunk));  // behind the extended header
        add(type, std::string(flat).insert(12, chunk));  // first of all
        add(type, webp.substr(0, 30) + chunk);           // last of all
      }
      for (const std::string type : {"eXIf", "tRNS", "acTL", "fcTL", "PLTE", "IDAT", "IHDR"}) {
        add(type, t::EncodePng(image, {.chunks = {{type, data}}}));
      }
      for (const char marker : {'\xE1', '\xC0', '\xC2', '\xC4', '\xDA', '\xDB', '\xDD'}) {
        const std::string segment = std::string("\xFF") + marker + BigEndian(length + 2, 2) + data;
        add("a segment", std::string(jpeg).insert(2, segment));
        add("a segment", jpeg.substr(0, 2) + segment);
      }
    }
  }
  return pieces;
}

TEST(ShortPieceTest, IsDecodedOrRefused) {
  for (const ShortPiece& piece : ShortPieces()) {
    for (const absl::Status& status :
         {Sniff(piece.file).status(), DecodeCost(piece.file, {}, 16).status(),
          Decode(piece.file, {}, 16).status()}) {
      ASSERT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << piece.what << ": " << status;
    }
  }
}

TEST(ShortPieceTest, OfAWebpsExifBlockLeavesThePictureAsItIs) {
  namespace t = orchard::testing;
  const std::string upright = t::WithOrientation(t::EncodeWebp(DrawLeaf(48, 36, 4)), 1);
  for (size_t length = 0; length <= 8; ++length) {
    const std::string data = std::string("Exif\0\0II", 8).substr(0, length);
    const std::string chunk =
        "EXIF" + LittleEndian(length, 4) + data + std::string(length % 2, '\0');
    const auto image = Decode(std::string(upright).insert(30, chunk), {}, 0);
    ASSERT_TRUE(image.ok()) << length << ": " << image.status();
    EXPECT_EQ(image->width, 48) << length;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, MutationTest, ::testing::ValuesIn(Samples()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::vision
