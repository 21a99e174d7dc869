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
        "orchard_routed_images_total{domain=\"vegetable\",model=\"small\"} 0",
        "orchard_expert_calls_total{code=\"OK\",domain=\"fruit\",model=\"small\"} 0",
        "orchard_fingerprint_mismatches_total{domain=\"fruit\",model=\"small\"} 0",
        "orchard_stage_duration_seconds_count{stage=\"combine\"} 0",
        "orchard_outcomes_total{model=\"small\",outcome=\"UNKNOWN_DOMAIN\"} 0",
        "orchard_degraded_total{model=\"small\"} 0",
        "orchard_window_load_share{domain=\"fruit\",model=\"small\"} 0",
        "orchard_window_load_max_over_mean{model=\"small\"} 1",
        "orchard_queue_depth{stage=\"encode\"} 0", "orchard_in_flight 0",
        "orchard_worker_busy_seconds_total{stage=\"combine\"} 0",
        "orchard_missing_total{domain=\"fruit\",model=\"small\",reason=\"cold\"} 0"}) {
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
       {"orchard_routed_images_total{domain=\"rice_disease\",model=\"small\"} 2",
        "orchard_routed_images_total{domain=\"fruit\",model=\"small\"} 1",
        "orchard_expert_calls_total{code=\"OK\",domain=\"rice_disease\",model=\"small\"} 2",
        "orchard_expert_calls_total{code=\"UNAVAILABLE\",domain=\"fruit\",model=\"small\"} 1",
        "orchard_expert_call_duration_seconds_count{domain=\"vegetable\",model=\"small\"} 1",
        "orchard_stage_duration_seconds_count{stage=\"decode\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"queue\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"encode\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"experts\"} 2",
        "orchard_stage_duration_seconds_count{stage=\"combine\"} 2",
        "orchard_micro_batch_size_count 2", "orchard_experts_asked_sum{model=\"small\"} 4",
        "orchard_outcomes_total{model=\"small\",outcome=\"OK\"} 2",
        "orchard_degraded_total{model=\"small\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST(RouterMetricsTest, SayWhatThereIsToDivideBy) {
  Line line({.settings = {.in_flight = 7, .decode_workers = 2, .encode_workers = 3}});
  const std::string text = Text(line.registry());
  for (const char* series :
       {"orchard_in_flight_limit 7", "orchard_workers{stage=\"decode\"} 2",
        "orchard_workers{stage=\"encode\"} 3", "orchard_workers{stage=\"combine\"} 2"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST(RouterMetricsTest, CountEveryReasonForWhichADomainIsMissing) {
  for (size_t i = 0; i < experts::kMissingReasons; ++i) {
    const auto reason = static_cast<experts::MissingReason>(i);
    Line line;
    line.expert(testing::kFruit).SetUnavailable(reason);
    ASSERT_THAT(line.Classify(1, testing::With(v1::DENSE)), orchard::testing::IsOk());
    EXPECT_THAT(Text(line.registry()),
                HasSubstr("orchard_missing_total{domain=\"fruit\",model=\"small\",reason=\"" +
                          std::string(experts::Name(reason)) + "\"} 1"));
  }
}

TEST(RouterMetricsTest, OfACallerWhoHasGoneNothingIsMissing) {
  prometheus::Registry registry;
  const std::vector<std::string> domains = {"fruit"};
  ModelMetrics metrics(registry, domains, {.name = "small"});
  const Routing routing{
      .domains = {{.activated = true, .missing_reason = experts::MissingReason::kTimeout}}};
  const Passage passage(core::Clock::now());
  for (const absl::Status& status :
       {absl::CancelledError("gone"), absl::DeadlineExceededError("late")}) {
    metrics.Finished({.method = Method::kClassify,
                      .request_id = "r",
                      .trace = {},
                      .model = "small/7",
                      .passage = passage,
                      .status = status,
                      .routing = &routing});
  }
  const std::string text = Text(registry);
  EXPECT_THAT(text, HasSubstr("orchard_missing_total{domain=\"fruit\",model=\"small\","
                              "reason=\"timeout\"} 1"));
  EXPECT_THAT(text, HasSubstr("orchard_routed_images_total{domain=\"fruit\",model=\"small\"} 2"));
}

TEST(RouterMetricsTest, WhoLeavesAQueueWithoutHavingBeenServedWaitedTheRestDoNot) {
  testing::HeldEncoder encoder;
  Line line({.on_encode = encoder.Hook()});
  auto first = line.Start(1);
  encoder.first_started.wait();
  std::stop_source caller;
  auto gone = line.Start(2, {}, std::nullopt, caller.get_token());
  testing::AwaitQueue(line.pipeline(), 1);
  caller.request_stop();
  encoder.release.count_down();
  first.wait();
  gone.wait();
  const std::string text = Text(line.registry());
  EXPECT_THAT(text, HasSubstr("orchard_stage_duration_seconds_count{stage=\"queue\"} 2"));
  EXPECT_THAT(text, HasSubstr("orchard_stage_duration_seconds_count{stage=\"encode\"} 1"));
}

/// What a picture's routing says of who was activated, and how probable they were.
Routing Route(const std::vector<bool>& activated, const std::vector<double>& probabilities) {
  Routing routing;
  for (size_t domain = 0; domain < activated.size(); ++domain) {
    routing.domains.push_back({.log_probability = std::log(probabilities[domain]),
                               .activated = activated[domain],
                               .answered = activated[domain]});
  }
  return routing;
}

TEST(RoutingWindowTest, SharesSumToOneAndAreForgotten) {
  RoutingWindow window(3, 60s);
  const core::Clock::time_point now{100h};
  window.Add(Route({true, true, false}, {0.6, 0.3, 0.1}), now);
  window.Add(Route({true, false, false}, {0.9, 0.05, 0.05}), now + 1s);
  window.Add(Route({true, false, false}, {0.9, 0.05, 0.05}), now + 2s);
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
