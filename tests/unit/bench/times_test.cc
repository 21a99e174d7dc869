#include "bench/fleet/times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::bench {
namespace {

using orchard::testing::IsOk;
using ::testing::DoubleNear;
using ::testing::HasSubstr;

constexpr int kDraws = 100'000;

double MeanOf(const Times& times) {
  Random random(1);
  double sum = 0.0;
  for (int i = 0; i < kDraws; ++i) sum += times.Draw(random);
  return sum / kDraws;
}

TEST(TimesTest, DrawsHaveTheMeanThatIsSaid) {
  const auto measured = Times::Measured({{0.0, 1.0}, {0.5, 2.0}, {0.9, 4.0}, {1.0, 20.0}});
  ASSERT_THAT(measured, IsOk());
  EXPECT_THAT(measured->mean(), DoubleNear(0.75 + 1.2 + 1.2, 1e-9));
  for (const Times& times : {Times(), Times::Constant(3.0), Times::Exponential(2.0), *measured}) {
    EXPECT_THAT(MeanOf(times), DoubleNear(times.mean(), 0.02 * times.mean()));
  }
}

TEST(TimesTest, MeasuredDrawsHaveTheQuantilesThatWereMeasured) {
  const auto times = Times::Measured({{0.0, 1.0}, {0.5, 2.0}, {1.0, 20.0}});
  ASSERT_THAT(times, IsOk());
  Random random(1);
  int below = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double seconds = times->Draw(random);
    EXPECT_GE(seconds, 1.0);
    EXPECT_LE(seconds, 20.0);
    below += seconds <= 2.0 ? 1 : 0;
  }
  EXPECT_NEAR(below, kDraws / 2, kDraws / 100);
}

TEST(TimesTest, QuantilesThatDoNotAscendAreRefused) {
  EXPECT_THAT(Times::Measured({{0.0, 1.0}}).status().message(), HasSubstr("from share 0"));
  EXPECT_THAT(Times::Measured({{0.0, 2.0}, {1.0, 1.0}}).status().message(), HasSubstr("ascend"));
  EXPECT_THAT(Times::Measured({{0.0, -1.0}, {1.0, 1.0}}).status().message(), HasSubstr("is -1"));
}

}  // namespace
}  // namespace orchard::bench
