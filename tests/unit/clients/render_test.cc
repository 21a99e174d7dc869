#include "clients/cpp/render.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "clients/cpp/display.h"
#include "nlohmann/json.hpp"

namespace orchard::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

v1::ClassifyResponse Answer(const std::string& more) {
  v1::ClassifyResponse response;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
            predictions { label: "carrot" domain: "fruit" probability: 0.1 conditional: 0.25 }
            concepts { label: "carrot" probability: 0.3 }
            routing {
              policy: TOP_K
              branch: "non_disease"
              branch_probability: 0.75
              domains { domain: "fruit" probability: 0.4 activated: true answered: true }
              domains { domain: "rice" probability: 0.6 activated: true missing_reason: "timeout" }
            }
            coverage: 0.4
            outcome: LOW_CONFIDENCE
            model_version: "default/1"
            timings {
              decode_ms: 1
              queue_ms: 2
              encode_ms: 3
              experts_ms: 4
              combine_ms: 5
              total_ms: 15
            }
      )pb" +
          more,
      &response));
  return response;
}

TEST(AnswerJsonTest, IsOneLineWithEveryField) {
  const std::string line = AnswerJson("a b.jpg", Answer("degraded: true missing: \"rice\""), 12.5);
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  EXPECT_EQ(nlohmann::json::parse(line), nlohmann::json::parse(R"json({
    "file": "a b.jpg",
    "predictions": [
      {"label": "carrot", "domain": "fruit", "probability": 0.1, "conditional": 0.25}],
    "concepts": [{"label": "carrot", "probability": 0.3}],
    "routing": {"policy": "TOP_K", "branch": "non_disease", "branch_probability": 0.75, "domains": [
      {"domain": "fruit", "probability": 0.4, "activated": true, "answered": true,
       "missing_reason": ""},
      {"domain": "rice", "probability": 0.6, "activated": true, "answered": false,
       "missing_reason": "timeout"}]},
    "coverage": 0.4, "exact": false, "outcome": "LOW_CONFIDENCE", "degraded": true,
    "missing": ["rice"], "unknown_score": 0.0, "model_version": "default/1", "latency_ms": 12.5,
    "stages_ms": {"decode": 1.0, "queue": 2.0, "encode": 3.0, "experts": 4.0, "combine": 5.0}})json"));
}

TEST(AnswerJsonTest, FieldsAreThereWhenEmpty) {
  const auto json = nlohmann::json::parse(AnswerJson("x", v1::ClassifyResponse(), 0));
  for (const char* field : {"predictions", "concepts", "missing"}) {
    EXPECT_TRUE(json.at(field).is_array()) << field;
  }
  EXPECT_FALSE(json.at("degraded").get<bool>());
}

TEST(AnswerJsonTest, NumbersKeepTheirFullPrecision) {
  v1::ClassifyResponse response;
  response.set_coverage(0.1234567890123456789);
  EXPECT_EQ(nlohmann::json::parse(AnswerJson("x", response, 0)).at("coverage").get<double>(),
            0.1234567890123456789);
}

TEST(AnswerJsonTest, AFileNameThatIsNoTextStillGivesALine) {
  EXPECT_THAT(AnswerJson("\xff.jpg", v1::ClassifyResponse(), 0), HasSubstr(".jpg"));
}

TEST(AnswerLineTest, SaysWhatIsMissingFromADegradedAnswer) {
  const std::string line = AnswerLine("a.jpg", Answer("degraded: true missing: \"rice\""), 10);
  EXPECT_THAT(line, HasSubstr("a.jpg       carrot"));
  EXPECT_THAT(line, HasSubstr("LOW_CONFIDENCE  degraded, missing: rice (timeout)"));
  EXPECT_THAT(AnswerLine("a.jpg", Answer(""), 10), Not(HasSubstr("degraded")));
}

TEST(AnswerLineTest, NamesAreShownAndNotObeyed) {
  v1::ClassifyResponse response = Answer("");
  response.mutable_predictions(0)->set_label("car\x1b[31mrot");
  const std::string line = AnswerLine("a\nb\x1b[0m.jpg", response, 20);
  EXPECT_THAT(line, HasSubstr("a\\nb\\x1b[0m.jpg "));
  EXPECT_THAT(line, HasSubstr("car\\x1b[31mrot "));
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  EXPECT_THAT(line, Not(HasSubstr("\n")));
}

TEST(AnswerJsonTest, HoldsNoCommandForATerminalAndMeansTheSame) {
  const std::string name =
      "a\nb\x1b[0m\x7f\xc2\x9b"
      "31m.jpg";
  const std::string line = AnswerJson(name, v1::ClassifyResponse(), 0);
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  EXPECT_THAT(line, Not(HasSubstr("\x7f")));
  EXPECT_THAT(line, Not(HasSubstr("\xc2\x9b")));
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  EXPECT_EQ(nlohmann::json::parse(line).at("file"), name);
}

TEST(AnswerLineTest, ColumnsAreThoseOfTheTerminal) {
  const std::vector<std::string> files = {"apple.jpg", "Äpfel.jpg", "林檎.jpg", "A\xcc\x88pfel.jpg",
                                          "\xe4pfel.jpg"};
  size_t width = 0;
  for (const std::string& file : files) width = std::max(width, FileWidth(file));
  const v1::ClassifyResponse response = Answer("");
  const size_t columns = DisplayWidth(AnswerLine(files[0], response, width));
  for (const std::string& file : files) {
    const std::string line = AnswerLine(file, response, width);
    EXPECT_EQ(DisplayWidth(line), columns) << line;
    EXPECT_EQ(DisplayWidth(line.substr(0, line.find("carrot"))), width + 2) << line;
  }
}

TEST(EndpointsTest, AreALineAndAnObjectEach) {
  v1::ModelDescription model;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        domains {
          name: "rice"
          endpoints {
            address: "10.0.0.11:8011"
            state: "ejected"
            in_flight: 3
            latency_ms: 12.5
            part_version: "7"
            fingerprint: "0123456789abcdef"
          }
          endpoints { address: "[::1]:8011" state: "up" }
        }
        domains { name: "leaf" available: true }
        domains { name: "fruit" }
      )pb",
      &model));
  const std::string text = EndpointsText(model);
  EXPECT_THAT(text,
              ContainsRegex("rice +10.0.0.11:8011 +ejected +3 +12.5 ms +7 +0123456789abcdef\n"));
  EXPECT_THAT(text, ContainsRegex("rice +\\[::1\\]:8011 +up"));
  EXPECT_THAT(text, ContainsRegex("leaf +inside the server\n"));
  EXPECT_THAT(text, ContainsRegex("fruit +none\n"));
  const auto json = nlohmann::json::parse(DescriptionJson(model));
  EXPECT_EQ(json.at("domains").at(0).at("endpoints").at(0), nlohmann::json::parse(R"json({
    "address": "10.0.0.11:8011", "state": "ejected", "in_flight": 3, "latency_ms": 12.5,
    "part_version": "7", "fingerprint": "0123456789abcdef"})json"));
  EXPECT_TRUE(json.at("domains").at(1).at("endpoints").empty());
}

TEST(DescriptionTest, NamesDomainsWithTheirClasses) {
  v1::ModelDescription model;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        name: "default"
        version: "1"
        domains { name: "rice" branch: "non_disease" classes: "arborio" classes: "basmati" }
        defaults { policy: EXACT }
        limits { max_side: 4096 }
        evaluation {
          domain_in_branch { hits: 7 total: 8 }
          domains {
            domain: "rice"
            gate1_oracle { hits: 5 total: 6 }
          }
        }
      )pb",
      &model));
  const auto json = nlohmann::json::parse(DescriptionJson(model));
  EXPECT_EQ(json.at("domains").at(0).at("name"), "rice");
  EXPECT_EQ(json.at("domains").at(0).at("branch"), "non_disease");
  EXPECT_EQ(json.at("domains").at(0).at("classes"),
            (nlohmann::json::array({"arborio", "basmati"})));
  EXPECT_TRUE(json.at("abstention").at("unknown_threshold").is_null());
  EXPECT_EQ(json.at("limits").at("max_side"), 4096);
  EXPECT_EQ(json.at("evaluation").at("domain_in_branch").at("hits"), 7);
  EXPECT_EQ(json.at("evaluation").at("domains").at(0).at("gate1_oracle").at("total"), 6);
  EXPECT_THAT(DescriptionText(model), HasSubstr("rice"));
  EXPECT_THAT(DescriptionText(model), HasSubstr("default policy exact"));
}

}  // namespace
}  // namespace orchard::client
