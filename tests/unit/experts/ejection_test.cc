#include "experts/ejection.h"

#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using core::Clock;
using namespace std::chrono_literals;

const Clock::time_point kStart{std::chrono::hours(1)};

Ejection Bad(Clock::time_point now = kStart) {
  Ejection ejection;
  for (size_t i = 0; i < kFaultsToEject; ++i) ejection.Failed(now);
  return ejection;
}

TEST(EjectionTest, FiveFaultsInARowMakeItBad) {
  Ejection ejection;
  for (size_t i = 0; i + 1 < kFaultsToEject; ++i) {
    ejection.Failed(kStart);
    EXPECT_FALSE(ejection.bad()) << i;
  }
  ejection.Succeeded();  // Not in a row.
  for (size_t i = 0; i + 1 < kFaultsToEject; ++i) ejection.Failed(kStart);
  EXPECT_FALSE(ejection.bad());
  ejection.Failed(kStart);
  EXPECT_TRUE(ejection.bad());
  EXPECT_EQ(ejection.bad_since(), kStart);
}

TEST(EjectionTest, CallsThatWereOnTheirWayMakeItNoWorse) {
  Ejection ejection = Bad();
  for (int i = 0; i < 50; ++i) ejection.Failed(kStart + 10ms);
  EXPECT_EQ(ejection.time_out(), 1s);
}

TEST(EjectionTest, IsOutForASecondThenForTwiceAsLongUpToAMinute) {
  Ejection ejection = Bad();
  auto now = kStart;
  for (const auto& want : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    EXPECT_EQ(ejection.time_out(), want);
    EXPECT_FALSE(ejection.MayProbe(now + want - 1ms, /*all_bad=*/false));
    now += want;
    ASSERT_TRUE(ejection.MayProbe(now, /*all_bad=*/false));
    ejection.ProbeSucceeded();
    EXPECT_TRUE(ejection.on_trial());
    EXPECT_FALSE(ejection.MayProbe(now, /*all_bad=*/false));  // Now a call's turn.
    ejection.Failed(now);
    EXPECT_FALSE(ejection.on_trial());
  }
  EXPECT_EQ(ejection.bad_since(), kStart);
}

TEST(EjectionTest, WhenAllAreBadItIsProbedEachSecond) {
  Ejection ejection = Bad();
  ejection.Silent(kStart + 1s);
  ejection.Silent(kStart + 3s);
  EXPECT_EQ(ejection.time_out(), 4s);
  EXPECT_FALSE(ejection.MayProbe(kStart + 4s, /*all_bad=*/false));
  EXPECT_TRUE(ejection.MayProbe(kStart + 4s, /*all_bad=*/true));
}

TEST(EjectionTest, AnAnswerForgivesAll) {
  Ejection ejection = Bad();
  ejection.ProbeSucceeded();
  ejection.Succeeded();
  EXPECT_FALSE(ejection.bad());
  EXPECT_EQ(ejection.time_out(), 0s);
}

TEST(EjectionTest, SilenceIsBadAtOnce) {
  Ejection ejection;
  ejection.Silent(kStart);
  EXPECT_TRUE(ejection.bad());
  EXPECT_EQ(ejection.time_out(), 1s);
}

TEST(EjectionTest, KnowsWhoseFaultAFailureIs) {
  for (const auto code : {absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded,
                          absl::StatusCode::kInternal}) {
    EXPECT_TRUE(IsFault(code));
  }
  for (const auto code : {absl::StatusCode::kOk, absl::StatusCode::kInvalidArgument,
                          absl::StatusCode::kResourceExhausted, absl::StatusCode::kCancelled,
                          absl::StatusCode::kFailedPrecondition, absl::StatusCode::kNotFound}) {
    EXPECT_FALSE(IsFault(code));
  }
}

}  // namespace
}  // namespace orchard::experts
