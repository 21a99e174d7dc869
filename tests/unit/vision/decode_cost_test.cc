// What decoding may cost: the estimate from the headers against what a process really takes.

#include <array>
#include <cstdint>
#include <functional>
#include <malloc.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

namespace t = orchard::testing;
using orchard::testing::DrawGradient;
using orchard::testing::DrawPlain;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr Profile kProfile{.shorter_side = 224, .crop = 224, .framing = Framing::kWholePicture};
constexpr std::uint64_t kMiB = 1 << 20;

Limits Generous() {
  return {.max_bytes = std::uint64_t{1} << 30,
          .max_pixels = 100'000'000,
          .max_decode_bytes = std::uint64_t{4} << 30,
          .formats = {kAllFormats.begin(), kAllFormats.end()}};
}

bool Decodes(const std::string& bytes, After after, std::vector<std::uint8_t>& out) {
  if (after == After::kFit) return DecodeForEncoder(bytes, Generous(), kProfile, out).ok();
  return Decode(bytes, Generous(), kProfile.shorter_side).ok();
}

/// Bytes that a process of its own takes at its peak for decoding, above what it began with.
std::uint64_t Measured(const std::string& bytes, After after) {
  // Memory that drawing has left would be used again, and not be seen.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  malloc_trim(0);
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    // The peak of a process that has forked begins with what it shares with its parent.
    const auto peak = [] {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      return static_cast<std::uint64_t>(usage.ru_maxrss) << 10;
    };
    std::vector<std::uint8_t> out(kProfile.crop * kProfile.crop * 3);
    const std::uint64_t before = peak();
    const bool decoded = Decodes(bytes, after, out);
    const std::uint64_t taken = decoded ? peak() - before : 0;
    const bool told = write(ends[1], &taken, sizeof(taken)) == sizeof(taken);
    _exit(told ? 0 : 1);
  }
  std::uint64_t taken = 0;
  EXPECT_EQ(read(ends[0], &taken, sizeof(taken)), static_cast<ssize_t>(sizeof(taken)));
  close(ends[0]);
  close(ends[1]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return taken;
}

struct CostCase {
  std::string name;
  std::function<std::string()> draw;
  /// What the estimate may be above the truth, besides a third. A drawing needs none of the codes
  /// that a photograph in a lossless WebP has.
  std::uint64_t above = 6 * kMiB;
};

class CostTest : public ::testing::TestWithParam<CostCase> {};

TEST_P(CostTest, IsWhatDecodingTakes) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer takes memory of its own";
#endif
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer takes memory of its own";
#endif
  const std::string bytes = GetParam().draw();
  for (const After after : {After::kFit, After::kKeep}) {
    const std::string kept = after == After::kKeep ? "kept_" : "";
    SCOPED_TRACE(kept);
    const auto cost = DecodeCost(bytes, Generous(), kProfile.shorter_side, after);
    ASSERT_THAT(cost, IsOk());
    const std::uint64_t measured = Measured(bytes, after);
    RecordProperty(kept + "estimated_kib", std::to_string(*cost >> 10));
    RecordProperty(kept + "measured_kib", std::to_string(measured >> 10));
    // Pages of the libraries that are touched for the first time count as well.
    EXPECT_LE(measured, *cost + 6 * kMiB);
    // An estimate far above the truth would refuse sound pictures.
    EXPECT_GE(measured + measured / 3 + GetParam().above, *cost);
  }
}

std::vector<CostCase> Costs() {
  constexpr size_t kWide = 2400;
  constexpr size_t kHigh = 1800;
  const auto image = [] { return DrawGradient(kWide, kHigh); };
  const auto alpha = [] { return std::vector<std::uint8_t>(kWide * kHigh, 100); };
  const auto turned = [](const std::string& file) { return t::WithOrientation(file, 6); };
  return {
      {"Jpeg", [=] { return t::EncodeJpeg(image()); }},
      {"TurnedJpeg", [=] { return turned(t::EncodeJpeg(image())); }},
      {"ProgressiveJpeg", [=] { return t::EncodeJpeg(image(), {.progressive = true}); }},
      {"ProgressiveGreyJpeg",
       [=] { return t::EncodeJpeg(image(), {.progressive = true, .grey = true}); }},
      {"Png", [=] { return t::EncodePng(image()); }},
      {"SixteenBitAlphaPng",
       [=] {
         return t::EncodePng(image(),
                             {.colour = t::PngColour::kRgbAlpha, .depth = 16, .alpha = alpha()});
       }},
      {"InterlacedPng", [=] { return t::EncodePng(image(), {.interlaced = true}); }},
      {"LosslessWebp", [=] { return t::EncodeWebp(image()); }, 24 * kMiB},
      {"TurnedLosslessWebp", [=] { return turned(t::EncodeWebp(image())); }, 24 * kMiB},
      {"LosslessWebpWithAlpha", [=] { return t::EncodeWebp(image(), 101, alpha()); }, 24 * kMiB},
      {"LossyWebp", [=] { return t::EncodeWebp(image(), 80); }},
      {"LossyWebpWithAlpha", [=] { return t::EncodeWebp(image(), 80, alpha()); }, 48 * kMiB},
      {"WebpOnACanvas",
       [=] { return t::AnimateWebp(2 * kWide, kHigh, {{t::EncodeWebp(image(), 80)}}); }},
      {"Bmp", [=] { return t::EncodeBmp(image()); }},
      {"Ppm", [=] { return t::EncodePpm(image()); }},
      {"WideJpeg", [] { return t::EncodeJpeg(DrawGradient(30000, 300)); }},
  };
}

INSTANTIATE_TEST_SUITE_P(Kinds, CostTest, ::testing::ValuesIn(Costs()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(DecodeCostTest, KnowsWhatIsKeptOfProgressiveJpegs) {
  // 4:2:0: 1.5 samples a pixel, two bytes each.
  const Image image = DrawPlain(1600, 1600, 9, 9, 9);
  const auto baseline = DecodeCost(t::EncodeJpeg(image), {}, 200);
  const auto progressive = DecodeCost(t::EncodeJpeg(image, {.progressive = true}), {}, 200);
  ASSERT_THAT(baseline, IsOk());
  ASSERT_THAT(progressive, IsOk());
  EXPECT_EQ(*progressive - *baseline, 1600U * 1600 * 3);
}

TEST(DecodeCostTest, IsThatOfThePixelsThatAreNeeded) {
  const std::string jpeg = t::EncodeJpeg(DrawPlain(1600, 1600, 9, 9, 9));
  const auto full = DecodeCost(jpeg, {}, 0);
  const auto small = DecodeCost(jpeg, {}, 200);
  ASSERT_THAT(full, IsOk());
  ASSERT_THAT(small, IsOk());
  EXPECT_EQ(*full - *small, (1600U * 1600 - 200 * 200) * 3);
}

TEST(DecodeCostTest, IsRefusedWithValueLimitAndRemedy) {
  const Image image = DrawPlain(1600, 1200, 9, 9, 9);
  const std::string progressive = t::EncodeJpeg(image, {.progressive = true});
  const auto cost = DecodeCost(progressive, {}, 224, After::kKeep);
  ASSERT_THAT(cost, IsOk());
  EXPECT_THAT(Decode(progressive, {.max_decode_bytes = *cost}, 224), IsOk());
  const auto refusal =
      StatusIs(kInvalid, AllOf(HasSubstr("1600x1200 pixels"),
                               HasSubstr("JPEG takes " + std::to_string(*cost) + " bytes"),
                               HasSubstr("the limit is " + std::to_string(*cost - 1)),
                               HasSubstr("save it as baseline, not progressive, or shrink it")));
  EXPECT_THAT(Decode(progressive, {.max_decode_bytes = *cost - 1}, 224), refusal);
  EXPECT_THAT(DecodeCost(progressive, {.max_decode_bytes = *cost - 1}, 224, After::kKeep), refusal);
  // As baseline it takes a fraction.
  EXPECT_THAT(Decode(t::EncodeJpeg(image), {.max_decode_bytes = *cost / 4}, 224), IsOk());
  EXPECT_THAT(Decode(t::EncodePng(image), {.max_decode_bytes = kMiB}, 224),
              StatusIs(kInvalid, HasSubstr(": shrink it")));
}

TEST(DecodeCostTest, OfAPictureThatIsKeptIsThatOfItsCopyToo) {
  const std::string ppm = t::EncodePpm(DrawPlain(1600, 1200, 9, 9, 9));
  const Limits limits{.formats = {Format::kPpm}};
  const auto fit = DecodeCost(ppm, limits, 224);
  const auto keep = DecodeCost(ppm, limits, 224, After::kKeep);
  ASSERT_THAT(fit, IsOk());
  ASSERT_THAT(keep, IsOk());
  EXPECT_EQ(*keep - *fit, 1600U * 1200 * 3);
  Limits enough_to_fit = limits;
  enough_to_fit.max_decode_bytes = *fit;
  std::vector<std::uint8_t> out(kProfile.crop * kProfile.crop * 3);
  EXPECT_THAT(DecodeForEncoder(ppm, enough_to_fit, kProfile, out), IsOk());
  EXPECT_THAT(Decode(ppm, enough_to_fit, 224),
              StatusIs(kInvalid, HasSubstr("takes " + std::to_string(*keep) + " bytes")));
}

/// A progressive JPEG of one component that only ever sends its first coefficients' highest bits.
std::string ManyScans(std::uint16_t width, std::uint16_t height, size_t scans) {
  std::string jpeg = t::JpegBomb(width, height);
  jpeg[jpeg.find("\xFF\xC0") + 1] = '\xC2';
  const std::string scan("\xFF\xDA\0\x0C\3\1\0\2\0\3\0\0\0\1", 14);
  jpeg.resize(jpeg.find("\xFF\xDA"));
  for (size_t i = 0; i < scans; ++i) jpeg += scan;
  return jpeg + "\xFF\xD9";
}

TEST(DecodeCostTest, LargestPicturesMayHaveSixteenScans) {
  // 20 megapixels of 4:4:4.
  const Limits limits{.max_pixels = 20'000'000};
  EXPECT_THAT(DecodeCost(ManyScans(5000, 4000, 16), limits, 224), IsOk());
  EXPECT_THAT(DecodeCost(ManyScans(5000, 4000, 17), limits, 224),
              StatusIs(kInvalid, AllOf(HasSubstr("17 scans of 5000x4000 pixels"),
                                       HasSubstr("the limit is 320000000"),
                                       HasSubstr("save it with fewer scans"))));
  EXPECT_THAT(DecodeCost(ManyScans(500, 400, 100), limits, 224), IsOk());
}

TEST(DecodeCostTest, RefusesWhatTookHalfAGigabyte) {
  // 50 megapixels, not subsampled: six bytes a pixel are kept.
  EXPECT_THAT(DecodeCost(ManyScans(8000, 6250, 10), {}, 224),
              StatusIs(kInvalid, HasSubstr("the limit is 268435456: save it as baseline")));
}

TEST(DecodeCostTest, IsKnownOfBombsWithoutDecodingThem) {
  for (const std::string& bomb : {t::PngBomb(7000, 7000), t::WebpBomb(7000, 7000)}) {
    const auto cost = DecodeCost(bomb, Generous(), 224);
    ASSERT_THAT(cost, IsOk());
    EXPECT_GE(*cost, 7000U * 7000 * 3);
  }
}

}  // namespace
}  // namespace orchard::vision
