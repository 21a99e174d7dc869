// The self-test of a device, on the one device that is always there.
#include "training/self_test.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::HasSubstr;

TEST(SelfTestTest, TheCpuIsAsGoodAsItself) {
  const auto result =
      RunSelfTest({.threads = 1, .batch = 8, .steps = 12, .layers = 2, .width = 24});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->difference, 0.0);
  EXPECT_LT(result->last_loss, result->first_loss);
  EXPECT_GT(result->pictures_per_second, 0.0);
  EXPECT_THAT(JudgeSelfTest(*result), IsOk());
}

TEST(SelfTestTest, WhatIsNoNetworkIsRefused) {
  EXPECT_THAT(RunSelfTest({.layers = 2, .width = 25}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("width is 25")));
}

TEST(SelfTestTest, AnotherFunctionOrALossThatDoesNotFallIsAFault) {
  const SelfTest good{.difference = 1e-12, .first_loss = 2.0, .last_loss = 1.0};
  EXPECT_THAT(JudgeSelfTest(good), IsOk());
  SelfTest other = good;
  other.difference = 1e-3;
  EXPECT_THAT(JudgeSelfTest(other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1.0e-03 from the CPU's")));
  other.difference = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(JudgeSelfTest(other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nan from")));
  SelfTest flat = good;
  flat.last_loss = 2.0;
  EXPECT_THAT(JudgeSelfTest(flat),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("from 2.0000 to 2.0000")));
}

}  // namespace
}  // namespace orchard::training
