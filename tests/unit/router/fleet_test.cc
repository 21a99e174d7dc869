#include "router/fleet.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "router/fleet_metrics.h"
#include "tests/testing/allocations.h"
#include "tests/testing/fake_expert.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::FakeExpert;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ExpertFleetTest, ADomainThatNobodyKnowsIsNotAvailable) {
  auto down = std::make_unique<FakeExpert>();
  down->SetUnavailable(experts::MissingReason::kEjected);
  std::vector<std::unique_ptr<experts::Expert>> experts;
  experts.push_back(std::make_unique<FakeExpert>());
  experts.push_back(nullptr);
  experts.push_back(std::move(down));
  const ExpertFleet fleet(std::move(experts));
  std::vector<std::optional<experts::MissingReason>> unavailable(fleet.domains());
  fleet.Unavailable(unavailable);
  EXPECT_THAT(unavailable, ElementsAre(std::nullopt, experts::MissingReason::kDown,
                                       experts::MissingReason::kEjected));
}

TEST(ExpertFleetTest, AskingWhoIsMissingAllocatesNothing) {
  std::vector<std::unique_ptr<experts::Expert>> experts;
  for (size_t domain = 0; domain < 200; ++domain) {
    experts.push_back(domain % 7 == 0 ? nullptr : std::make_unique<FakeExpert>());
  }
  const ExpertFleet fleet(std::move(experts));
  std::vector<std::optional<experts::MissingReason>> unavailable(fleet.domains());
  EXPECT_EQ(orchard::testing::CountAllocations([&] { fleet.Unavailable(unavailable); }), 0U);
  EXPECT_EQ(unavailable[7], experts::MissingReason::kDown);
  EXPECT_EQ(unavailable[8], std::nullopt);
}

const std::vector<std::string> kDomains = {"apple", "rice"};
const std::vector<NamedDomains> kGarden = {{.model = "garden", .domains = kDomains}};

std::vector<std::string> Texts(const std::vector<experts::Target>& targets) {
  std::vector<std::string> texts;
  for (const experts::Target& target : targets) texts.push_back(target.ToString());
  return texts;
}

TEST(ParseExpertTargetsTest, GathersTheTargetsOfADomain) {
  const std::vector<std::string> settings = {"rice=a:1,dns:///b:2", "garden/rice=[::1]:3"};
  const auto targets = ParseExpertTargets(settings, kGarden);
  ASSERT_THAT(targets, IsOk());
  ASSERT_EQ(targets->size(), 1U);
  EXPECT_THAT((*targets)[0][0], IsEmpty());
  EXPECT_THAT(Texts((*targets)[0][1]), ElementsAre("a:1", "dns:///b:2", "[::1]:3"));
}

TEST(ParseExpertTargetsTest, ADomainWithoutModelIsOfTheFirst) {
  const std::vector<NamedDomains> models = {{.model = "garden", .domains = kDomains},
                                            {.model = "signs", .domains = {"rice", "stop"}}};
  const std::vector<std::string> settings = {"rice=a:1", "signs/rice=b:2", "signs/stop=c:3"};
  const auto targets = ParseExpertTargets(settings, models);
  ASSERT_THAT(targets, IsOk());
  EXPECT_THAT(Texts((*targets)[0][1]), ElementsAre("a:1"));
  EXPECT_THAT(Texts((*targets)[1][0]), ElementsAre("b:2"));
  EXPECT_THAT(Texts((*targets)[1][1]), ElementsAre("c:3"));
  EXPECT_THAT(
      ParseExpertTargets(std::vector<std::string>{"stop=a:1", "road/stop=a:1"}, models),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("the model garden has no domain \"stop\""),
                     HasSubstr("no model is called \"road\"; served here: garden, signs"))));
}

TEST(ParseExpertTargetsTest, TellsEveryFaultAtOnce) {
  const std::vector<std::string> settings = {"cheese=a:1", "rice",           "apple=nowhere",
                                             "rice=",      "other/rice=a:1", "rice=xds:///a:1"};
  EXPECT_THAT(ParseExpertTargets(settings, kGarden),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no domain \"cheese\", it has apple, rice"),
                             HasSubstr("\"rice\": is not [MODEL/]DOMAIN=TARGET"),
                             HasSubstr("apple=nowhere"), HasSubstr("\"rice=\": names no address"),
                             HasSubstr("no model is called \"other\"; served here: garden"),
                             HasSubstr("xds:///a:1"))));
}

v1::ModelManifest Manifest() {
  v1::ModelManifest manifest;
  manifest.set_name("garden");
  v1::FeatureSpec& pooled = *manifest.mutable_encoder()->add_features();
  pooled.set_kind(v1::POOLED);
  pooled.add_shape(8);
  for (const std::string& domain : kDomains) {
    v1::ExpertPart& part = *manifest.add_experts();
    part.set_domain(domain);
    part.add_classes("a");
    part.add_classes("b");
    part.set_feature_kind(v1::POOLED);
  }
  return manifest;
}

/// Value of a series; nothing when there is none.
std::optional<double> Value(const prometheus::Registry& registry, const std::string& name,
                            const std::map<std::string, std::string>& labels) {
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::map<std::string, std::string> found;
      for (const auto& label : metric.label) found[label.name] = label.value;
      if (found == labels) return metric.counter.value + metric.gauge.value;
    }
  }
  return std::nullopt;
}

TEST(RemoteFleetTest, CountsEndpointsAndTakesNewTargets) {
  prometheus::Registry registry;
  FleetMetrics metrics(registry, "garden", kDomains);
  const auto targets = ParseExpertTargets(std::vector<std::string>{"rice=127.0.0.1:1"}, kGarden);
  ASSERT_THAT(targets, IsOk());
  const auto fleet =
      RemoteFleet(Manifest(), (*targets)[0],
                  {.events_of = [&](size_t domain) { return metrics.EventsOf(domain, nullptr); }});
  ASSERT_THAT(fleet, IsOk());
  EXPECT_EQ((*fleet)->Unavailable(0), experts::MissingReason::kDown);
  EXPECT_EQ((*fleet)->Endpoints(0).size(), 0U);
  EXPECT_EQ((*fleet)->Endpoints(1).size(), 1U);
  const auto count = [&](const std::string& domain) {
    metrics.Refresh(**fleet);
    double sum = 0;
    for (const std::string state : {"up", "connecting", "ejected", "foreign", "down"}) {
      sum += *Value(registry, "orchard_expert_endpoints",
                    {{"model", "garden"}, {"domain", domain}, {"state", state}});
    }
    return sum;
  };
  EXPECT_EQ(count("apple"), 0);
  EXPECT_EQ(count("rice"), 1);
  const auto other =
      ParseExpertTargets(std::vector<std::string>{"apple=127.0.0.1:1,127.0.0.1:2"}, kGarden);
  ASSERT_THAT((*fleet)->Reload((*other)[0]), IsOk());
  EXPECT_EQ(count("apple"), 2);
  EXPECT_EQ(count("rice"), 0);
  EXPECT_THAT((*fleet)->Reload(ExpertTargets(kDomains.size())),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no --expert is set")));
  EXPECT_EQ(count("apple"), 2);
  EXPECT_EQ(Value(registry, "orchard_expert_hedges_total",
                  {{"model", "garden"}, {"domain", "rice"}, {"result", "won"}}),
            0);
}

TEST(RemoteFleetTest, InProcessThereIsNothingToReload) {
  ExpertFleet fleet(std::vector<std::unique_ptr<experts::Expert>>(2));
  EXPECT_THAT(fleet.Reload(ExpertTargets(2)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--expert")));
}

TEST(FleetMetricsTest, CountWhatADomainTells) {
  prometheus::Registry registry;
  FleetMetrics metrics(registry, "garden", kDomains);
  int mismatches = 0;
  const experts::FleetEvents events = metrics.EventsOf(1, [&] { ++mismatches; });
  events.on_transition({.address = "a:1",
                        .was = experts::EndpointState::kUp,
                        .state = experts::EndpointState::kEjected,
                        .reason = ""});
  events.on_transition({.address = "a:1",
                        .was = experts::EndpointState::kEjected,
                        .state = experts::EndpointState::kUp,
                        .reason = ""});
  events.on_retry();
  events.on_retry();
  events.on_hedge(experts::HedgeResult::kLost);
  events.on_mismatch();
  std::map<std::string, std::string> labels = {{"model", "garden"}, {"domain", "rice"}};
  EXPECT_EQ(Value(registry, "orchard_expert_ejections_total", labels), 1);
  EXPECT_EQ(Value(registry, "orchard_expert_retries_total", labels), 2);
  labels["result"] = "lost";
  EXPECT_EQ(Value(registry, "orchard_expert_hedges_total", labels), 1);
  EXPECT_EQ(mismatches, 1);
}

}  // namespace
}  // namespace orchard::router
