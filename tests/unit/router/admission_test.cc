#include "router/admission.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(InFlightLimiterTest, GivesAsManyPlacesAsItHasAndTakesThemBack) {
  InFlightLimiter limiter(2);
  auto first = limiter.Admit();
  auto second = limiter.Admit();
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(limiter.Admit(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2")));
  EXPECT_EQ(limiter.in_flight(), 2);  // The refused one has left no trace.
  first->reset();
  EXPECT_THAT(limiter.Admit(), IsOk());
}

TEST(ServiceTimeTest, FollowsWhatItIsTold) {
  ServiceTime time;
  EXPECT_EQ(time.Recent(), 0ns);
  time.Add(10ms);
  EXPECT_NEAR(core::Milliseconds(time.Recent()), 10.0, 1e-3);
  for (int i = 0; i < 100; ++i) time.Add(20ms);
  EXPECT_NEAR(core::Milliseconds(time.Recent()), 20.0, 0.1);
}

TEST(ServiceTimeTest, ForgetsASlowSpellEvenWhenItRefusesEverything) {
  ServiceTime time;
  time.Add(10s);
  int refused = 0;
  const Clock::time_point now = Clock::now();
  while (!CheckBudget(now, now + 100ms, time.Recent()).ok() && refused < 1000) {
    time.Refused();
    ++refused;
  }
  EXPECT_LT(refused, 50);
}

TEST(CheckBudgetTest, SaysWhatIsLeftAndWhatIsNeeded) {
  const Clock::time_point now = Clock::now();
  EXPECT_THAT(CheckBudget(now, now + 20ms, 20ms), IsOk());
  EXPECT_THAT(CheckBudget(now, now + 20ms, 30ms),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("20.0 ms"), HasSubstr("30.0 ms"))));
  EXPECT_THAT(CheckBudget(now, now - 5ms, 0ms),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("5.0 ms ago")));
}

}  // namespace
}  // namespace orchard::router
