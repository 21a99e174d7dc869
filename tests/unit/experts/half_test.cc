#include "experts/internal/half.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace orchard::experts::internal {
namespace {

TEST(Fp16Test, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = Fp16ToFloat(half);
    const bool is_nan = (half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0;
    ASSERT_EQ(std::isnan(value), is_nan) << bits;
    if (!is_nan) {
      ASSERT_EQ(FloatToFp16(value), half) << bits;
    }
  }
}

TEST(Fp16Test, KnowsItsLandmarks) {
  EXPECT_EQ(FloatToFp16(1.0F), 0x3C00);
  EXPECT_EQ(FloatToFp16(-2.0F), 0xC000);
  EXPECT_EQ(FloatToFp16(65504.0F), 0x7BFF);  // the largest
  EXPECT_EQ(FloatToFp16(65519.9F), 0x7BFF);
  EXPECT_EQ(FloatToFp16(65520.0F), 0x7C00);    // half a step above it: infinite
  EXPECT_EQ(FloatToFp16(0x1p-24F), 0x0001);    // the smallest
  EXPECT_EQ(FloatToFp16(0x1p-25F), 0x0000);    // a tie, to even
  EXPECT_EQ(FloatToFp16(0x1.8p-24F), 0x0002);  // a tie, to even
  EXPECT_EQ(FloatToFp16(std::numeric_limits<float>::max()), 0x7C00);
}

TEST(Fp16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(FloatToFp16(1.0F + 0x1p-11F), 0x3C00);             // a tie, to even
  EXPECT_EQ(FloatToFp16(1.0F + 0x1p-11F + 0x1p-20F), 0x3C01);  // just above it
  EXPECT_EQ(FloatToFp16(1.0F + 0x1p-10F + 0x1p-11F), 0x3C02);  // a tie, to even
}

TEST(Bf16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(FloatToBf16(1.0F), 0x3F80);
  EXPECT_EQ(FloatToBf16(1.0F + 0x1p-8F), 0x3F80);            // a tie, to even
  EXPECT_EQ(FloatToBf16(1.0F + 0x1p-7F + 0x1p-8F), 0x3F82);  // a tie, to even
  EXPECT_EQ(FloatToBf16(-1.0F - 0x1p-8F - 0x1p-20F), 0xBF81);
  EXPECT_EQ(FloatToBf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(Bf16ToFloat(0x3F82), 1.0F + 0x1p-6F);
}

}  // namespace
}  // namespace orchard::experts::internal
