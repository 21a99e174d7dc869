#include "experts/endpoint_choice.h"

#include <array>
#include <chrono>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using core::Clock;
using ::testing::Each;
using ::testing::Gt;
using enum EndpointHealth;

/// How often each of `endpoints` is chosen in 1000 draws.
std::vector<int> Draw(const std::vector<EndpointView>& endpoints,
                      std::optional<size_t> except = std::nullopt) {
  std::mt19937_64 chance(1);
  std::vector<int> chosen(endpoints.size());
  for (int i = 0; i < 1000; ++i) {
    const auto choice = ChooseEndpoint(endpoints, except, chance());
    if (choice) ++chosen[*choice];
  }
  return chosen;
}

TEST(ChooseEndpointTest, TakesTheCheaperOfTwo) {
  EXPECT_THAT(Draw({{kUp, 3.0}, {kUp, 1.0}}), ::testing::ElementsAre(0, 1000));
}

TEST(ChooseEndpointTest, NeverTakesTheDearestOfManyAndSpreadsOverTheRest) {
  const auto chosen = Draw({{kUp, 9.0}, {kUp, 1.0}, {kUp, 1.0}, {kUp, 1.0}});
  EXPECT_EQ(chosen[0], 0);
  for (const size_t i : {1, 2, 3}) EXPECT_GT(chosen[i], 250) << i;
}

TEST(ChooseEndpointTest, SpreadsOverEquals) {
  EXPECT_THAT(Draw({{kUp, 1.0}, {kUp, 1.0}, {kUp, 1.0}}), Each(Gt(270)));
}

TEST(ChooseEndpointTest, PrefersWhatIsUpWhateverItCosts) {
  EXPECT_THAT(Draw({{kUnknown, 0.0}, {kUp, 9.0}, {kDown, 0.0}}),
              ::testing::ElementsAre(0, 1000, 0));
}

TEST(ChooseEndpointTest, TriesAnUnknownOneWhenNoneIsUp) {
  EXPECT_THAT(Draw({{kDown, 0.0}, {kUnknown, 9.0}}), ::testing::ElementsAre(0, 1000));
}

TEST(ChooseEndpointTest, ChoosesNoneWhenAllAreDown) {
  EXPECT_EQ(ChooseEndpoint(std::vector<EndpointView>{{kDown, 0.0}, {kDown, 0.0}}, {}, 1),
            std::nullopt);
  EXPECT_EQ(ChooseEndpoint({}, {}, 1), std::nullopt);
}

TEST(ChooseEndpointTest, LeavesOutTheOneThatJustFailed) {
  EXPECT_THAT(Draw({{kUp, 1.0}, {kUp, 9.0}}, 0), ::testing::ElementsAre(0, 1000));
  EXPECT_EQ(ChooseEndpoint(std::vector<EndpointView>{{kUp, 1.0}, {kDown, 0.0}}, 0, 1),
            std::nullopt);
}

class CostTest : public ::testing::Test {
 protected:
  const Clock::time_point now_ = Clock::time_point() + 1000s;
};

TEST_F(CostTest, GrowsWithRowsInFlight) {
  EXPECT_GT(Cost({.in_flight = 2}, now_), Cost({.in_flight = 1}, now_));
  EXPECT_GT(Cost({.in_flight = 1}, now_), Cost({}, now_));
}

TEST_F(CostTest, GrowsWithLatency) {
  EndpointLoad quick, slow;
  quick.Answered(0.001, 0, now_);
  slow.Answered(0.100, 0, now_);
  EXPECT_GT(Cost(slow, now_), Cost(quick, now_));
}

TEST_F(CostTest, HearsWhatTheExpertSaysOfItsOtherCallers) {
  EndpointLoad idle, busy;
  idle.Answered(0.010, 0, now_);
  busy.Answered(0.010, 20, now_);
  EXPECT_GT(Cost(busy, now_), Cost(idle, now_));
}

TEST_F(CostTest, ForgetsABadMoment) {
  EndpointLoad load;
  load.Answered(2.0, 100, now_);
  const double then = Cost(load, now_);
  EXPECT_LT(Cost(load, now_ + 60s), then / 1000);
}

TEST_F(CostTest, AFailureAtOnceIsNotAQuickAnswer) {
  EndpointLoad broken, slow;
  broken.Failed(0.0001, now_);
  slow.Answered(0.500, 0, now_);
  EXPECT_GT(Cost(broken, now_), Cost(slow, now_));
}

TEST_F(CostTest, FollowsTheLatencyWithinSomeAnswers) {
  EndpointLoad load;
  load.Answered(1.0, 0, now_);
  for (int i = 0; i < 20; ++i) load.Answered(0.010, 0, now_);
  EXPECT_NEAR(load.latency_seconds, 0.010, 0.020);
}

}  // namespace
}  // namespace orchard::experts
