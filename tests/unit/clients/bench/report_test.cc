#include "clients/cpp/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace orchard::client {
namespace {

using Json = nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

LoadReport Report() {
  LoadReport report{.servers = {"127.0.0.1:8001"}, .pictures = 3};
  report.plan.rate = 50.0;
  report.plan.slo = 200ms;
  report.result.window = 2s;
  Tally& tally = report.result.tally;
  tally.planned = 10;
  tally.not_sent = 1;
  v1::ClassifyResponse answer;
  answer.set_outcome(v1::OK);
  for (int i = 0; i < 8; ++i) {
    tally.Sent(1ms);
    tally.Answered(answer, i < 6 ? 20ms : 300ms, report.plan.slo);
  }
  tally.Sent(1ms);
  tally.Failed(absl::ResourceExhaustedError("full"), 2ms);
  return report;
}

TEST(LoadJsonTest, CountsSumUpAndRatesAreOverTheWindow) {
  const Json run = Json::parse(LoadJson(Report()));
  EXPECT_EQ(run.at("planned"), run.at("ok").get<int>() + run.at("failed").get<int>() +
                                   run.at("not_sent").get<int>() + run.at("lost").get<int>());
  EXPECT_EQ(run.at("mode"), "open");
  EXPECT_EQ(run.at("concurrency"), nullptr);
  EXPECT_EQ(run.at("errors"), Json::parse(R"({"RESOURCE_EXHAUSTED": 1})"));
  EXPECT_EQ(run.at("planned_per_second"), 5.0);
  EXPECT_EQ(run.at("ok_per_second"), 4.0);
  EXPECT_EQ(run.at("good"), 6);
  EXPECT_EQ(run.at("goodput_per_second"), 3.0);
  EXPECT_EQ(run.at("good_share"), .6);
  EXPECT_EQ(run.at("latency_ms").at("max"), 300.0);
  EXPECT_EQ(run.at("lag_ms").at("count"), 9);
  for (const char* stage : {"decode", "queue", "encode", "experts", "combine", "total"}) {
    EXPECT_EQ(run.at("stages_ms").at(stage).at("count"), 8) << stage;
  }
}

TEST(LoadJsonTest, ARunWithoutAnswersHasEveryFieldAndNoDivisionByZero) {
  const Json run = Json::parse(LoadJson(LoadReport()));
  EXPECT_EQ(run.at("mode"), "closed");
  EXPECT_EQ(run.at("rate"), nullptr);
  EXPECT_EQ(run.at("goodput_per_second"), 0.0);
  EXPECT_EQ(run.at("latency_ms").at("p99"), 0.0);
  EXPECT_EQ(run.at("experts_asked"), 0.0);
  EXPECT_TRUE(run.at("errors").is_object());
}

TEST(LoadTextTest, SaysWhatWasPlannedAndWhatBecameOfIt) {
  const std::string text = LoadText(Report());
  EXPECT_THAT(text, HasSubstr("open loop, 50 requests/s (Poisson, seed 1), 3 pictures"));
  EXPECT_THAT(text, ContainsRegex("planned +10 +5.0/s\n"));
  EXPECT_THAT(text, ContainsRegex("answered +8 +4.0/s +OK 8\n"));
  EXPECT_THAT(text, ContainsRegex("good +6 +3.0/s +within 200ms: 60.00 % of what was planned\n"));
  EXPECT_THAT(text, ContainsRegex("failed +1 +RESOURCE_EXHAUSTED 1\n"));
  EXPECT_THAT(text, ContainsRegex("not sent +1\n"));
  EXPECT_THAT(text, ContainsRegex("latency +90.00 +20.[0-9]+ +300.00"));
  EXPECT_THAT(text, Not(HasSubstr("interrupted")));
}

}  // namespace
}  // namespace orchard::client
