#include "moe/abstain.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace orchard::moe {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct JudgeCase {
  std::string name;
  Thresholds thresholds;
  double unknown_score;
  double best_concept;
  Outcome want;
};

class JudgeTest : public ::testing::TestWithParam<JudgeCase> {};

TEST_P(JudgeTest, GivesTheFirstOutcomeThatApplies) {
  const JudgeCase& param = GetParam();
  EXPECT_EQ(Judge(param.thresholds, param.unknown_score, param.best_concept), param.want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, JudgeTest,
    ::testing::Values(
        JudgeCase{"WithoutThresholdsNothingAbstains", {}, -1e9, 0.0, Outcome::kOk},
        JudgeCase{"BothPass", {.unknown = -5.0, .confidence = 0.5}, -4.0, 0.6, Outcome::kOk},
        JudgeCase{"EqualScoresPass", {.unknown = -5.0, .confidence = 0.5}, -5.0, 0.5, Outcome::kOk},
        JudgeCase{"UnfamiliarIsUnknown",
                  {.unknown = -5.0, .confidence = 0.5},
                  -5.1,
                  0.9,
                  Outcome::kUnknownDomain},
        JudgeCase{
            "DoubtfulIsLow", {.unknown = -5.0, .confidence = 0.5}, 0, 0.4, Outcome::kLowConfidence},
        JudgeCase{"UnknownComesBeforeLow",
                  {.unknown = -5.0, .confidence = 0.5},
                  -9.0,
                  0.1,
                  Outcome::kUnknownDomain},
        JudgeCase{"NanScoreIsUnknown", {.unknown = -5.0}, kNan, 0.9, Outcome::kUnknownDomain},
        JudgeCase{"NanConfidenceIsLow", {.confidence = 0.5}, 0.0, kNan, Outcome::kLowConfidence}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(OutcomeTest, NamesAreThoseOfTheWire) {
  EXPECT_EQ(Name(Outcome::kOk), "OK");
  EXPECT_EQ(Name(Outcome::kLowConfidence), "LOW_CONFIDENCE");
  EXPECT_EQ(Name(Outcome::kUnknownDomain), "UNKNOWN_DOMAIN");
}

}  // namespace
}  // namespace orchard::moe
