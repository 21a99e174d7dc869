#include "moe/specialisation.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::moe {
namespace {

LayerSums Loads(std::vector<double> picks) {
  LayerSums sums{.picks = picks, .probability = picks};
  for (const double count : picks) sums.tokens += count;
  return sums;
}

// models.md section 10, check 9.
TEST(SpecialisationTest, LoadStatisticsAreThoseOfTheTable) {
  const LayerMeasures even = Measure(Loads({40, 30, 20, 10}));
  EXPECT_NEAR(even.cv_squared, 0.2, 1e-9);
  EXPECT_NEAR(even.cv_squared_unbiased, 0.266667, 1e-6);
  EXPECT_NEAR(even.max_over_mean, 1.6, 1e-9);
  EXPECT_NEAR(even.normalised_entropy, 0.923220, 1e-6);
  EXPECT_NEAR(even.gini, 0.25, 1e-9);
  EXPECT_NEAR(even.balance, 1.2, 1e-9);  // P = f: E Σ f².
  const LayerMeasures one = Measure(Loads({100, 0, 0, 0}));
  EXPECT_NEAR(one.cv_squared, 3.0, 1e-9);
  EXPECT_NEAR(one.gini, 0.75, 1e-9);
  EXPECT_NEAR(one.effective_experts, 1.0, 1e-9);
  EXPECT_EQ(one.dead, 3U);
}

// Check 6, the parts that a function of sums can show; gradients are in tests/unit/nets/sparse.
TEST(SpecialisationTest, BalanceOfUniformGatesIsOneForAnyLoad) {
  LayerSums sums = Loads({100, 0, 0, 0});
  sums.probability = {25, 25, 25, 25};
  EXPECT_NEAR(Measure(sums).balance, 1.0, 1e-12);
  sums.probability = {100, 0, 0, 0};
  EXPECT_NEAR(Measure(sums).balance, 4.0, 1e-12);
  sums = Loads({40, 30, 20, 10});
  sums.probability = {35, 30, 20, 15};
  EXPECT_NEAR(Measure(sums).balance, 1.14, 1e-12);
}

TEST(SpecialisationTest, GateInformationIsOneForCertainEvenGatesAndZeroForUniformOnes) {
  LayerSums sums = Loads({10, 10, 10, 10});
  sums.entropy = 0.0;
  EXPECT_NEAR(Measure(sums).gate_information, 1.0, 1e-12);
  EXPECT_NEAR(Measure(sums).token_entropy, 0.0, 1e-12);
  sums.entropy = 40.0 * std::log(4.0);
  EXPECT_NEAR(Measure(sums).gate_information, 0.0, 1e-12);
  EXPECT_NEAR(Measure(sums).token_entropy, 1.0, 1e-12);
}

TEST(SpecialisationTest, NoTokenIsNoDecision) {
  const LayerMeasures measures = Measure({.picks = {0, 0}, .probability = {0, 0}});
  EXPECT_EQ(measures.effective_experts, 2.0);
  EXPECT_EQ(measures.gate_information, 0.0);
}

// models.md section 10, check 10.
TEST(SpecialisationTest, MutualInformationIsThatOfTheTable) {
  const MutualInformation mi = InformationOf({{30, 10}, {10, 50}}, /*independent=*/100);
  EXPECT_NEAR(mi.nats, 0.177741, 1e-6);
  EXPECT_NEAR(mi.nats / std::log(2.0), 0.256426, 1e-6);
  EXPECT_NEAR(mi.column_entropy, 0.673012, 1e-6);
  EXPECT_NEAR(mi.nats / mi.column_entropy, 0.264098, 1e-6);
  EXPECT_NEAR(mi.corrected, 0.172741, 1e-6);
}

TEST(SpecialisationTest, UnusedClassesDoNotLowerTheCorrectedInformation) {
  const MutualInformation with = InformationOf({{30, 10}, {10, 50}, {0, 0}}, 100);
  EXPECT_NEAR(with.corrected, 0.172741, 1e-6);
}

TEST(SpecialisationTest, AChoiceByClassIsSignificantAndAChoiceByTurnIsNot) {
  std::vector<size_t> labels;
  std::vector<std::vector<double>> by_class, by_turn;
  for (size_t i = 0; i < 60; ++i) {
    labels.push_back(i % 3);
    by_class.push_back({i % 3 == 0 ? 4.0 : 0.0, i % 3 == 0 ? 0.0 : 4.0});
    by_turn.push_back({(i / 3) % 2 == 0 ? 4.0 : 0.0, (i / 3) % 2 == 0 ? 0.0 : 4.0});
  }
  const ClassInformation meant = ClassAndExpert(labels, 3, by_class, 200, 1);
  EXPECT_LT(meant.p_value, 0.01);
  EXPECT_GT(meant.information.normalised, 0.9);
  const ClassInformation turn = ClassAndExpert(labels, 3, by_turn, 200, 1);
  EXPECT_GT(turn.p_value, 0.5);
  EXPECT_NEAR(turn.information.normalised, 0.0, 1e-9);
}

}  // namespace
}  // namespace orchard::moe
