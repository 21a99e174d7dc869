#include "bench/fleet/autoscaler.h"

#include <gtest/gtest.h>

namespace orchard::bench {
namespace {

using namespace std::chrono_literals;

TEST(WantedReplicasTest, AreTheMetricRoundedUpBeyondTheTolerance) {
  const AutoscalerPlan plan{.least = 1, .most = 10};
  EXPECT_EQ(WantedReplicas(3.2, 2, plan), 4U);
  EXPECT_EQ(WantedReplicas(2.15, 2, plan), 2U) << "within a tenth";
  EXPECT_EQ(WantedReplicas(0.0, 2, plan), 1U);
  EXPECT_EQ(WantedReplicas(99.0, 2, plan), 10U);
}

TEST(ReplicaRuleTest, UpAtOnceAndDownToTheMostThatWasWantedLately) {
  const AutoscalerPlan plan{.scale_down = 300s};
  ReplicaRule rule(plan);
  const Clock::time_point start = Events::kStart;
  EXPECT_EQ(rule.Decide(4.0, 1, start), 4U);
  EXPECT_EQ(rule.Decide(8.0, 4, start + 15s), 8U);
  EXPECT_EQ(rule.Decide(1.0, 8, start + 30s), 8U);
  EXPECT_EQ(rule.Decide(2.0, 8, start + 314s), 8U) << "eight was wanted 299 s ago";
  EXPECT_EQ(rule.Decide(1.0, 8, start + 316s), 2U);
}

}  // namespace
}  // namespace orchard::bench
