// Whatever the bytes, Sniff and Decode answer OK or INVALID_ARGUMENT and stay within the limits.

#include <random>
#include <string>
#include <sys/resource.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "vision/decode.h"

namespace orchard::vision {
namespace {

using orchard::testing::DrawLeaf;

constexpr size_t kMutations = 2000;  // of each file

struct FileCase {
  std::string name;
  std::string bytes;
};

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

INSTANTIATE_TEST_SUITE_P(Files, MutationTest, ::testing::ValuesIn(Samples()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::vision
