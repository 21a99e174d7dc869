#include "moe/verdict.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::moe {
namespace {

using ::testing::HasSubstr;

constexpr size_t kExperts = 7;
constexpr size_t kTopK = 3;
constexpr double kTokens = 40'000;

/// A layer with this share of picks, and gates as certain as `certainty` (0 to 1).
LayerEvidence Layer(const std::vector<double>& shares, double certainty) {
  LayerEvidence evidence{.sums = {.top_k = kTopK, .tokens = kTokens}, .pictures = 600};
  for (const double share : shares) {
    evidence.sums.picks.push_back(share * kTokens * kTopK);
    evidence.sums.probability.push_back(share * kTokens);
  }
  evidence.sums.entropy =
      kTokens * (1.0 - certainty) * std::log(static_cast<double>(shares.size()));
  evidence.median_distance = 1.0;
  evidence.classes = ClassInformation{.information = {.normalised = 0.3}, .p_value = 0.001};
  return evidence;
}

const std::vector<double>& Even() {
  static const auto& even = *new std::vector<double>(kExperts, 1.0 / kExperts);
  return even;
}

struct VerdictCase {
  std::string name;
  LayerEvidence evidence;
  Verdict want;
  std::string reason;
};

std::vector<VerdictCase> Cases() {
  LayerEvidence few = Layer(Even(), 0.5);
  few.sums.tokens = 19'999;
  LayerEvidence few_pictures = Layer(Even(), 0.5);
  few_pictures.pictures = 499;
  LayerEvidence copied = Layer(Even(), 0.5);
  copied.median_distance = 0.01;
  LayerEvidence shuffled = Layer(Even(), 0.5);
  shuffled.shuffle = ShuffleTest{.accuracy_lost = 0.1, .p_value = 0.6};
  LayerEvidence classless = Layer(Even(), 0.5);
  classless.classes->p_value = 0.2;
  LayerEvidence unmeasured = Layer(Even(), 0.5);
  unmeasured.classes.reset();
  return {
      {"TooFewTokens", few, Verdict::kUnknown, "19999 tokens"},
      {"TooFewPictures", few_pictures, Verdict::kUnknown, "499 pictures"},
      {"ThreeExpertsDoAll", Layer({.34, .33, .33, 0, 0, 0, 0}, 0.5), Verdict::kCollapsed,
       "3.00 effective experts, at most 4.00 of 7"},
      {"TwoAreDead", Layer({.2, .2, .2, .2, .2, .0, .0}, 0.5), Verdict::kCollapsed, "2 dead"},
      {"OneDominates", Layer({.32, .12, .12, .11, .11, .11, .11}, 0.5), Verdict::kCollapsed,
       "2.24 times the mean, limit 1.87"},
      {"UniformGates", Layer(Even(), 0.0), Verdict::kIndifferent, "B = 1.0000 is uninformative"},
      {"CopiedExperts", copied, Verdict::kRedundant, "0.0100, below 0.05"},
      {"ShufflingChangesNothing", shuffled, Verdict::kRedundant, "0.10 points"},
      {"NothingOfTheClasses", classless, Verdict::kWeak, "p 0.2000"},
      {"AllMeasuresPass", Layer(Even(), 0.5), Verdict::kHealthy, "7.00 effective experts"},
      {"NotAllIsMeasured", unmeasured, Verdict::kUnknown, "not measured"},
  };
}

class VerdictTest : public ::testing::TestWithParam<VerdictCase> {};

TEST_P(VerdictTest, FollowsFromTheEvidence) {
  const Judgement judgement = Judge(GetParam().evidence);
  EXPECT_EQ(NameOf(judgement.verdict), NameOf(GetParam().want));
  EXPECT_THAT(judgement.reason, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(Table, VerdictTest, ::testing::ValuesIn(Cases()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(VerdictTest, ALayerThatUsesAllExpertsIsNotCollapsed) {
  LayerEvidence evidence = Layer(Even(), 0.5);
  evidence.sums.top_k = kExperts;
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kHealthy);
}

TEST(VerdictTest, TheModelsVerdictIsTheWorstWithCounts) {
  EXPECT_EQ(Summarise(std::vector{Verdict::kHealthy, Verdict::kIndifferent, Verdict::kHealthy}),
            "INDIFFERENT (1 indifferent, 2 healthy)");
  EXPECT_EQ(Summarise({}), "UNKNOWN");
}

}  // namespace
}  // namespace orchard::moe
