#include <gtest/gtest.h>

#include "experts/hedge_delay.h"
#include "experts/ratio_budget.h"

namespace orchard::experts {
namespace {

using core::Clock;
using namespace std::chrono_literals;

const Clock::time_point kStart{std::chrono::hours(1)};

int TakeAll(RatioBudget& budget, Clock::time_point now) {
  int taken = 0;
  while (budget.Take(now)) ++taken;
  return taken;
}

TEST(RatioBudgetTest, AllowsAShareOfCallsAndAFewInAnyCase) {
  RatioBudget budget({.ratio = 0.2, .at_least = 10, .window = 10s});
  EXPECT_EQ(TakeAll(budget, kStart), 10);
  for (int i = 0; i < 100; ++i) budget.Called(kStart);
  EXPECT_EQ(TakeAll(budget, kStart), 10);  // 20 of 100.
}

TEST(RatioBudgetTest, ForgetsAfterTheWindow) {
  RatioBudget budget({.ratio = 0.2, .at_least = 10, .window = 10s});
  for (int i = 0; i < 1000; ++i) budget.Called(kStart);
  EXPECT_EQ(TakeAll(budget, kStart), 200);
  EXPECT_EQ(TakeAll(budget, kStart + 8s), 0);
  EXPECT_EQ(TakeAll(budget, kStart + 11s), 10);
  EXPECT_EQ(TakeAll(budget, kStart + 1h), 10);
  EXPECT_EQ(TakeAll(budget, kStart + 1h - 5s), 0);  // Threads race: that is now.
}

TEST(RatioBudgetTest, AShareWithoutALeastBeginsWithCalls) {
  RatioBudget budget({.ratio = 0.05, .at_least = 0, .window = 60s});
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.Called(kStart + 50ms * i);
    taken += budget.Take(kStart + 50ms * i) ? 1 : 0;
    EXPECT_LE(taken, 0.05 * (i + 1)) << i;
  }
  EXPECT_EQ(taken, 50);
}

TEST(HedgeDelayTest, IsThePercentileOfWhatWasLately) {
  HedgeDelay delay;
  for (int i = 0; i < 19; ++i) delay.Answered(10ms);
  EXPECT_EQ(delay.Delay(), std::nullopt);  // Nineteen say nothing of the twentieth.
  delay.Answered(10ms);
  EXPECT_EQ(delay.Delay(), 10ms);
  for (int i = 0; i < 96; ++i) delay.Answered(i % 12 == 0 ? 100ms : 10ms);  // Over five of hundred.
  EXPECT_EQ(delay.Delay(), 100ms);
  for (int i = 0; i < 128; ++i) delay.Answered(1ms);
  EXPECT_EQ(delay.Delay(), 1ms);
}

}  // namespace
}  // namespace orchard::experts
