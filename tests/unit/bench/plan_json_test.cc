#include "bench/fleet/plan_json.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::bench {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using orchard::testing::IsOk;

TEST(ParsePlanTest, ReadsWhatIsGivenAndKeepsDefaults) {
  const auto plan = ParsePlan(R"({
    "seed": 7, "warm_up_seconds": 2, "interval_ms": 500,
    "arrivals": {"rate": 50, "hop_ms": 0.25,
                 "surges": [{"domain": "rice", "from_seconds": 1, "to_seconds": 3, "factor": 4}]},
    "domains": {"fruit": {"share": 2, "row": {"quantiles_ms": {"1": 4, "0": 1, "0.5": 2}}},
                "rice": {"row": {"exponential_ms": 3}, "replicas": 2}},
    "routers": {"count": 3, "in_flight": 100, "decode": 5},
    "pods": {"host_cores": 1}})");
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->seed, 7U);
  EXPECT_EQ(plan->warm_up, 2s);
  EXPECT_EQ(plan->interval, 500ms);
  EXPECT_EQ(plan->arrivals.hop, 250us);
  ASSERT_EQ(plan->arrivals.surges.size(), 1U);
  EXPECT_EQ(plan->arrivals.surges[0].domain, 1U);
  EXPECT_EQ(plan->domains[0].name, "fruit");
  EXPECT_DOUBLE_EQ(plan->domains[0].row.mean(), 0.00225);
  EXPECT_DOUBLE_EQ(plan->domains[1].row.mean(), 0.003);
  EXPECT_EQ(plan->routers.expert_in_flight, 25U) << "a quarter of in_flight, as the router has it";
  EXPECT_DOUBLE_EQ(plan->routers.decode.mean(), 0.005);
  EXPECT_EQ(plan->pods.max_batch, 32U);
  EXPECT_FALSE(plan->autoscaler.on);
  EXPECT_FALSE(plan->fault.on);
}

struct FaultCase {
  std::string json;
  std::string says;
};

TEST(ParsePlanTest, FaultsAreNamed) {
  const std::vector<FaultCase> cases = {
      {"{", "not JSON"},
      {R"({"domains": {}})", "the number of domains is 0"},
      {R"({"domains": {"a": {"shares": 1}}})", "domains.a.shares is unknown"},
      {R"({"domains": {"a": {}}, "router": {}})", "router is unknown"},
      {R"({"domains": {"a": {}}, "routers": {"count": 1.5}})", "routers.count must be a whole"},
      {R"({"domains": {"a": {}}, "routers": {"decode": {"gauss_ms": 1}}})", "routers.decode"},
      {R"({"domains": {"a": {}}, "arrivals": {"rate": 0}})", "rate is 0, must be above 0"},
      {R"({"domains": {"a": {}}, "fault": {"kind": "slow"}})", "fault.kind must be"},
      {R"({"domains": {"a": {}}, "arrivals": {"surges": [{"domain": "b"}]}})",
       "none of the domains"},
  };
  for (const FaultCase& one : cases) {
    EXPECT_THAT(std::string(ParsePlan(one.json).status().message()), HasSubstr(one.says));
  }
}

}  // namespace
}  // namespace orchard::bench
