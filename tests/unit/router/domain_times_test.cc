#include "router/domain_times.h"

#include <gtest/gtest.h>

namespace orchard::router {
namespace {

using namespace std::chrono_literals;

double Ms(core::Clock::duration duration) { return core::Milliseconds(duration); }

TEST(DomainTimesTest, IsNothingUntilSomethingWasMeasured) {
  const DomainTimes times(3);
  EXPECT_EQ(times.Quick(), 0ns);
}

TEST(DomainTimesTest, ASlowDomainDoesNotRaiseWhatQuickOnesAreJudgedBy) {
  DomainTimes times(3);
  for (int i = 0; i < 300; ++i) {
    times.Add(0, 2s);
    times.Add(0, 2s);
    times.Add(0, 2s);
    times.Add(1, 3ms);
  }
  EXPECT_NEAR(Ms(times.Quick()), 3.0, 0.1);
}

TEST(DomainTimesTest, ATenthOfThePicturesIsQuickAtTheMeanOfTheirDomain) {
  DomainTimes times(2);
  for (int i = 0; i < 400; ++i) times.Add(0, i % 2 == 0 ? 30ms : 50ms);
  EXPECT_NEAR(Ms(times.Quick()), 40.0, 2.0);
  for (int i = 0; i < 400; ++i) times.Add(i % 5 == 0 ? 1 : 0, i % 5 == 0 ? 3ms : 40ms);
  EXPECT_NEAR(Ms(times.Quick()), 3.0, 0.1);  // A fifth of them.
}

TEST(DomainTimesTest, ADomainThatHardlyAnybodyGoesToSaysNothing) {
  DomainTimes times(3);
  for (int i = 0; i < 1000; ++i) times.Add(i % 100 == 0 ? 1 : 0, i % 100 == 0 ? 1ms : 40ms);
  EXPECT_NEAR(Ms(times.Quick()), 40.0, 0.1);
}

TEST(DomainTimesTest, FollowsWhereRecentPicturesWent) {
  DomainTimes times(2);
  for (int i = 0; i < 1000; ++i) times.Add(0, 1ms);
  for (int i = 0; i < 1000; ++i) times.Add(1, 40ms);
  EXPECT_NEAR(Ms(times.Quick()), 40.0, 0.1);
}

TEST(DomainTimesTest, CountsForEver) {  // Shares grow by 1/.995 each: they must not overflow.
  DomainTimes times(2);
  for (int i = 0; i < 200'000; ++i) times.Add(static_cast<size_t>(i % 2), 4ms);
  EXPECT_NEAR(Ms(times.Quick()), 4.0, 0.1);
}

TEST(DomainTimesTest, RefusalsLowerASlowSpell) {
  DomainTimes times(1);
  times.Add(0, 10s);
  for (int i = 0; i < 50; ++i) times.Refused();
  EXPECT_LT(times.Quick(), 100ms);
}

}  // namespace
}  // namespace orchard::router
