#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// For each bad input a clear status, and a living server.

namespace orchard::router {
namespace {

using namespace orchard::testing;  // NOLINT(google-build-using-namespace): the drawing words.
using ::testing::AllOf;
using ::testing::HasSubstr;

router::testing::RunningRouter& Router() {
  static auto* const router = [] {
    Engine::Config config;
    config.pipeline.limits.max_bytes = 1 << 20;
    return new router::testing::RunningRouter(config);
  }();
  return *router;
}

vision::Image Leaf() { return DrawLeaf(280, 300, 5); }

struct BadCase {
  std::string name;
  std::function<std::string()> image;
  std::string says;
};

class BadPictureTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadPictureTest, IsRefusedAndTheServerLives) {
  EXPECT_THAT(Router().Classify(GetParam().image()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().says)));
  EXPECT_THAT(Router().Classify(EncodeJpeg(Leaf())), IsOk());
}

std::string Half(const std::string& file) { return file.substr(0, file.size() / 2); }

INSTANTIATE_TEST_SUITE_P(
    Table, BadPictureTest,
    ::testing::Values(BadCase{"Empty", [] { return std::string(); }, ""},
                      BadCase{"NoPicture", [] { return std::string("To be, or not to be"); }, ""},
                      BadCase{"TruncatedJpeg", [] { return Half(EncodeJpeg(Leaf())); }, ""},
                      BadCase{"TruncatedPng", [] { return Half(EncodePng(Leaf())); }, ""},
                      BadCase{"TruncatedWebp", [] { return Half(EncodeWebp(Leaf())); }, ""},
                      BadCase{"PngBomb", [] { return PngBomb(30000, 30000); }, "50000000"},
                      BadCase{"JpegBomb", [] { return JpegBomb(30000, 30000); }, "50000000"},
                      BadCase{"ZeroWide", [] { return PngBomb(0, 100); }, ""},
                      BadCase{"BmpIsNotAllowed", [] { return EncodeBmp(Leaf()); }, "bmp"},
                      BadCase{"OverTheSizeLimit", [] { return std::string((1 << 20) + 1, 'x'); },
                              "1048576"}),
    [](const auto& param_info) { return param_info.param.name; });

struct OddCase {
  std::string name;
  std::function<std::string()> image;
};

class OddPictureTest : public ::testing::TestWithParam<OddCase> {};

TEST_P(OddPictureTest, IsClassified) { EXPECT_THAT(Router().Classify(GetParam().image()), IsOk()); }

std::string Png(PngColour colour, int depth) {
  PngOptions options;
  options.colour = colour;
  options.depth = depth;
  return EncodePng(Leaf(), options);
}

INSTANTIATE_TEST_SUITE_P(
    Table, OddPictureTest,
    ::testing::Values(OddCase{"GreyJpeg", [] { return EncodeJpeg(Leaf(), {.grey = true}); }},
                      OddCase{"ProgressiveJpeg",
                              [] { return EncodeJpeg(Leaf(), {.progressive = true}); }},
                      OddCase{"CmykJpeg",
                              [] {
                                const std::vector<std::uint8_t> plane(16, 120);
                                return EncodeFlatJpeg(32, 32, {plane, plane, plane, plane});
                              }},
                      OddCase{"GreyPng", [] { return Png(PngColour::kGrey, 8); }},
                      OddCase{"SixteenBitPng", [] { return Png(PngColour::kRgb, 16); }},
                      OddCase{"AlphaPng", [] { return Png(PngColour::kRgbAlpha, 8); }},
                      OddCase{"PalettePng", [] { return Png(PngColour::kPalette, 8); }},
                      OddCase{"Webp", [] { return EncodeWebp(Leaf()); }},
                      OddCase{"Rotated", [] { return WithOrientation(EncodeJpeg(Leaf()), 6); }},
                      OddCase{"OnePixel", [] { return EncodePng(DrawPlain(1, 1, 9, 9, 9)); }}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(BadOptionsTest, AreRefusedOverTheWire) {
  v1::ClassifyOptions options;
  options.set_policy(static_cast<v1::Policy>(99));
  EXPECT_THAT(Router().Classify(EncodeJpeg(Leaf()), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("99")));
}

TEST(BadOptionsTest, KOutOfRangeIsRefusedOverTheWire) {
  const size_t domains = Router().engine().models().first()->catalogue().domains.size();
  for (const std::uint32_t k : {0U, static_cast<std::uint32_t>(domains) + 1, 4'000'000'000U}) {
    v1::ClassifyOptions options;
    options.set_policy(v1::TOP_K);
    options.set_k(k);
    EXPECT_THAT(Router().Classify(EncodeJpeg(Leaf()), options),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("k = " + std::to_string(k)),
                               HasSubstr("1 to " + std::to_string(domains)))));
  }
  v1::ClassifyOptions other;
  other.set_policy(v1::HARD);
  other.set_k(1);
  EXPECT_THAT(Router().Classify(EncodeJpeg(Leaf()), other),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("k")));
  EXPECT_THAT(Router().Classify(EncodeJpeg(Leaf())), IsOk());
}

TEST(BadSizeTest, FarOverTheLimitGrpcItselfRefuses) {
  EXPECT_EQ(Router().Classify(std::string(3 << 20, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace orchard::router
