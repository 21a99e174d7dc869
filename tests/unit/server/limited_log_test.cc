#include "server/limited_log.h"

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::server {
namespace {

using core::Clock;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

const Clock::time_point kStart{std::chrono::hours(7)};

TEST(KindLimiterTest, TheFirstIsWrittenAndThenACountEachPeriod) {
  KindLimiter limiter;
  EXPECT_EQ(limiter.Admit("a", kStart), 0U);
  for (int i = 0; i < 99; ++i) EXPECT_EQ(limiter.Admit("a", kStart + 1ms * i), std::nullopt);
  EXPECT_EQ(limiter.Admit("b", kStart + 1s), 0U);  // Another kind is another line.
  EXPECT_EQ(limiter.Admit("a", kStart + 10s), 99U);
  EXPECT_EQ(limiter.Admit("a", kStart + 20s), 0U);
}

TEST(KindLimiterTest, WhatIsNotFollowedByAnotherIsOverdueOnce) {
  KindLimiter limiter;
  limiter.Admit("a", kStart);
  limiter.Admit("b", kStart);
  limiter.Admit("a", kStart + 1s);
  limiter.Admit("a", kStart + 2s);
  EXPECT_THAT(limiter.Overdue(kStart + 9s), IsEmpty());
  EXPECT_THAT(limiter.Overdue(kStart + 10s),
              ElementsAre(::testing::AllOf(Field(&KindLimiter::LeftOut::kind, "a"),
                                           Field(&KindLimiter::LeftOut::lines, 2U))));
  EXPECT_THAT(limiter.Overdue(kStart + 30s), IsEmpty());
}

TEST(KindLimiterTest, AtTheEndNothingIsKept) {
  KindLimiter limiter;
  limiter.Admit("a", kStart);
  limiter.Admit("a", kStart + 1s);
  EXPECT_THAT(limiter.Overdue(kStart + 2s), IsEmpty());
  EXPECT_THAT(limiter.Overdue(kStart + 2s, /*at_the_end=*/true),
              ElementsAre(Field(&KindLimiter::LeftOut::lines, 1U)));
}

TEST(KindLimiterTest, KindsThatStrangersMakeUpShareOneInTheEnd) {
  KindLimiter limiter(10s, /*max_kinds=*/3);
  for (const std::string kind : {"a", "b", "c"}) EXPECT_EQ(limiter.Admit(kind, kStart), 0U);
  EXPECT_EQ(limiter.Admit("d", kStart), 0U);
  EXPECT_EQ(limiter.Admit("e", kStart), std::nullopt);
  EXPECT_EQ(limiter.Admit("f", kStart), std::nullopt);
  // Old ones make room.
  EXPECT_EQ(limiter.Admit("g", kStart + 11s), 0U);
  EXPECT_EQ(limiter.Admit("g", kStart + 12s), std::nullopt);
}

}  // namespace
}  // namespace orchard::server
