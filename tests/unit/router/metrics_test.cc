#include "router/metrics.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "router/routing_window.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Line;
using testing::Logs;
using ::testing::Not;
using namespace std::chrono_literals;

std::string Text(prometheus::Registry& registry) {
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

TEST(RouterMetricsTest, EverySeriesStandsAtZeroFromTheStart) {
  Line line;
  const std::string text = Text(line.registry());
  for (const char* series :
       {"orchard_requests_total{code=\"OK\",method=\"Classify\"} 0",
        "orchard_requests_total{code=\"UNAUTHENTICATED\",method=\"DescribeModel\"} 0",
        "orchard_routed_images_total{domain=\"vegetable\"} 0",
        "orchard_expert_calls_total{code=\"OK\",domain=\"fruit\"} 0",
        "orchard_fingerprint_mismatches_total{domain=\"fruit\"} 0",
        "orchard_stage_duration_seconds_count{stage=\"combine\"} 0",
        "orchard_outcomes_total{outcome=\"UNKNOWN_DOMAIN\"} 0", "orchard_degraded_total 0",
        "orchard_window_load_share{domain=\"fruit\"} 0", "orchard_window_load_max_over_mean 1",
        "orchard_queue_depth{stage=\"encode\"} 0", "orchard_in_flight 0"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST(RouterMetricsTest, CountWhatThePipelineDid) {
  Line line;
  line.expert(testing::kFruit).AnswerBy([](const auto&, const auto&) {
    return absl::UnavailableError("gone");
  });
  v1::ClassifyOptions dense;
  dense.set_policy(v1::DENSE);
  ASSERT_THAT(line.Classify(1), orchard::testing::IsOk());
  ASSERT_THAT(line.Classify(2, dense), orchard::testing::IsOk());
  const std::string text = Text(line.registry());
  for (const char* series :
       {"orchard_routed_images_total{domain=\"rice_disease\"} 2",
        "orchard_routed_images_total{domain=\"fruit\"} 1",
        "orchard_expert_calls_total{code=\"OK\",domain=\"rice_disease\"} 2",
        "orchard_expert_calls_total{code=\"UNAVAILABLE\",domain=\"fruit\"} 1",
        "orchard_expert_call_duration_seconds_count{domain=\"vegetable\"} 1",
        "orchard_stage_duration_seconds_count{stage=\"decode\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"queue\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"encode\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"experts\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"combine\"} 2",
        "orchard_micro_batch_size_count 2", "orchard_experts_asked_sum 4",
        "orchard_outcomes_total{outcome=\"OK\"} 2", "orchard_degraded_total 1"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST(RoutingWindowTest, SharesSumToOneAndAreForgotten) {
  RoutingWindow window(3, 60s);
  const core::Clock::time_point now{100h};
  window.Add({true, true, false}, Logs({0.6, 0.3, 0.1}), now);
  window.Add({true, false, false}, Logs({0.9, 0.05, 0.05}), now + 1s);
  window.Add({true, false, false}, Logs({0.9, 0.05, 0.05}), now + 2s);
  const auto busy = window.Summarise(now + 3s);
  EXPECT_THAT(busy.load_share, ElementsAre(0.75, 0.25, 0.0));
  EXPECT_NEAR(busy.health.max_over_mean, 2.25, 1e-12);
  EXPECT_GT(busy.health.balance_loss, 1.0);
  const auto idle = window.Summarise(now + 100s);
  EXPECT_THAT(idle.load_share, ElementsAre(0.0, 0.0, 0.0));
  EXPECT_EQ(idle.health.max_over_mean, 1.0);
}

}  // namespace
}  // namespace orchard::router
