#include "moe/combine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log_space.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/moe/picture.h"

namespace orchard::moe {
namespace {

using ::orchard::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using core::kMasked;

constexpr size_t kAll = 1000;  // more than any model here has

// models.md section 10, check 1.
TEST(CombineTest, GivesTheJointOfTheWorkedExample) {
  const testing::Picture picture = testing::WorkedExample();
  const Combination all =
      Combine(picture.taxonomy, picture.log_domain, picture.Dense(), kAll).value();
  ASSERT_THAT(all.classes, SizeIs(10));
  EXPECT_EQ(all.classes[0].domain, 0u);
  EXPECT_EQ(all.classes[0].label, 0u);
  EXPECT_NEAR(all.classes[0].probability, 0.378, 1e-6);
  EXPECT_NEAR(all.best_log_joint, -0.972861, 1e-6);
  EXPECT_EQ(all.classes[1].domain, 3u);  // D1
  EXPECT_NEAR(all.classes[1].probability, 0.18, 1e-6);
  EXPECT_NEAR(all.coverage, 1.0, 1e-12);
}

struct CoverageCase {
  std::string name;
  std::vector<size_t> answered;
  double coverage;
  double joint;
  double conditional;
};

class CoverageTest : public ::testing::TestWithParam<CoverageCase> {};

// models.md section 10, checks 2 and 3, by the sets that the policies choose.
TEST_P(CoverageTest, JointStaysAndConditionalIsRenormalised) {
  const testing::Picture picture = testing::WorkedExample();
  const Combination combination =
      Combine(picture.taxonomy, picture.log_domain, picture.Answers(GetParam().answered), 1)
          .value();
  EXPECT_NEAR(combination.coverage, GetParam().coverage, 1e-6);
  ASSERT_THAT(combination.classes, SizeIs(1));
  EXPECT_NEAR(combination.classes[0].probability, GetParam().joint, 1e-6);
  EXPECT_NEAR(combination.classes[0].conditional, GetParam().conditional, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Checks2And3, CoverageTest,
    ::testing::Values(CoverageCase{"Hard", {0}, 0.42, 0.378, 0.9},
                      CoverageCase{"TopTwo", {0, 3}, 0.66, 0.378, 0.572727},
                      CoverageCase{"ThresholdOrNucleus", {0, 3, 1}, 0.87, 0.378, 0.434483},
                      CoverageCase{"Dense", {0, 1, 2, 3, 4}, 1.0, 0.378, 0.378},
                      CoverageCase{"PinnedC", {2}, 0.07, 0.056, 0.8},
                      CoverageCase{"DenseWithThreeOfFive", {0, 1, 3}, 0.87, 0.378, 0.434483}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(CombineTest, ConceptsSumTheJointsOfEqualLabels) {
  const testing::Picture picture = testing::WorkedExample();
  const Combination combination =
      Combine(picture.taxonomy, picture.log_domain, picture.Dense(), kAll).value();
  // Concept 1 is A1 + D0 = .042 + .06; concept 8 is E1, which is impossible and left out.
  ASSERT_THAT(combination.concepts, SizeIs(8));
  EXPECT_EQ(combination.concepts[0].concept_index, 0u);
  for (const ConceptProbability& entry : combination.concepts) {
    if (entry.concept_index == 1) {
      EXPECT_NEAR(entry.probability, 0.102, 1e-6);
    }
    EXPECT_NE(entry.concept_index, 8u);
  }
}

TEST(CombineTest, TiesGoToTheLowerDomainAndClassWhateverTheOrderOfAnswers) {
  testing::Picture picture = testing::WorkedExample();
  picture.log_domain = testing::Logs({0.2, 0.2, 0.2, 0.2, 0.2});
  for (auto& row : picture.log_probabilities) row = {std::log(0.5F), std::log(0.5F)};
  const Combination combination = Combine(picture.taxonomy, picture.log_domain,
                                          picture.Answers(std::vector<size_t>{4, 2, 3}), 3)
                                      .value();
  ASSERT_THAT(combination.classes, SizeIs(3));
  EXPECT_EQ(combination.classes[0].domain, 2u);
  EXPECT_EQ(combination.classes[0].label, 0u);
  EXPECT_EQ(combination.classes[1].domain, 2u);
  EXPECT_EQ(combination.classes[1].label, 1u);
  EXPECT_EQ(combination.classes[2].domain, 3u);
}

TEST(CombineTest, TheOrderOfAnswersDoesNotMatter) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    std::vector<ExpertAnswer> answers = picture.Dense();
    const Combination a = Combine(picture.taxonomy, picture.log_domain, answers, kAll).value();
    std::ranges::shuffle(answers, random);
    const Combination b = Combine(picture.taxonomy, picture.log_domain, answers, kAll).value();
    ASSERT_EQ(a.classes.size(), b.classes.size());
    for (size_t i = 0; i < a.classes.size(); ++i) {
      EXPECT_EQ(a.classes[i].domain, b.classes[i].domain);
      EXPECT_EQ(a.classes[i].label, b.classes[i].label);
      EXPECT_EQ(a.classes[i].probability, b.classes[i].probability);
    }
  }
}

TEST(CombineTest, AnImprobablePinnedDomainIsStillRankedInLogSpace) {
  testing::Picture picture = testing::WorkedExample();
  picture.log_domain[2] = -900.0;  // exp underflows to 0.
  const Combination combination =
      Combine(picture.taxonomy, picture.log_domain, picture.Answers(std::vector<size_t>{2}), 2)
          .value();
  EXPECT_EQ(combination.classes[0].label, 1u);
  EXPECT_EQ(combination.classes[0].probability, 0.0);
  EXPECT_NEAR(combination.classes[0].conditional, 0.8, 1e-6);
  EXPECT_THAT(combination.concepts, SizeIs(2));
  EXPECT_EQ(combination.concepts[0].concept_index, 5u);
}

// Properties over random pictures.

TEST(CombineTest, TheJointOfAllClassesSumsToOne) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const Combination combination =
        Combine(picture.taxonomy, picture.log_domain, picture.Dense(), kAll).value();
    ASSERT_EQ(combination.classes.size(), picture.classes());
    double joints = 0.0;
    for (const ClassProbability& entry : combination.classes) joints += entry.probability;
    EXPECT_NEAR(joints, 1.0, 1e-6);
    double concepts = 0.0;
    for (const ConceptProbability& entry : combination.concepts) concepts += entry.probability;
    EXPECT_NEAR(concepts, 1.0, 1e-6);
  }
}

TEST(CombineTest, CoverageIsTheMassOfWhatAnsweredAndBoundsEveryJoint) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 2000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    std::vector<size_t> answered;
    double mass = 0.0;
    for (size_t g = 0; g < picture.domains(); ++g) {
      if (g != 0 && random() % 2 == 0) continue;
      answered.push_back(g);
      mass += std::exp(picture.log_domain[g]);
    }
    const std::vector<ExpertAnswer> answers = picture.Answers(answered);
    const Combination combination =
        Combine(picture.taxonomy, picture.log_domain, answers, kAll).value();
    EXPECT_NEAR(combination.coverage, mass, 1e-12);
    EXPECT_EQ(combination.best_log_joint, BestLogJoint(picture.log_domain, answers));
    double joints = 0.0;
    double conditionals = 0.0;
    for (const ClassProbability& entry : combination.classes) {
      EXPECT_LE(entry.probability, std::exp(picture.log_domain[entry.domain]));
      EXPECT_LE(entry.conditional, 1.0);
      joints += entry.probability;
      conditionals += entry.conditional;
    }
    EXPECT_NEAR(joints, combination.coverage, 1e-6);
    EXPECT_NEAR(conditionals, 1.0, 1e-6);
    EXPECT_TRUE(std::ranges::is_sorted(combination.classes, [](const auto& a, const auto& b) {
      return a.probability > b.probability;
    }));
  }
}

TEST(CombineTest, ALogProbabilityAboveZeroByRoundingDoesNotExceedTheDomain) {
  testing::Picture picture = testing::WorkedExample();
  picture.log_probabilities[0] = {1e-4F, -20.0F};
  const std::vector<ExpertAnswer> answers = picture.Answers(std::vector<size_t>{0});
  EXPECT_EQ(BestLogJoint(picture.log_domain, answers), picture.log_domain[0]);
  const Combination combination = Combine(picture.taxonomy, picture.log_domain, answers, 1).value();
  EXPECT_EQ(combination.classes[0].probability, std::exp(picture.log_domain[0]));
}

TEST(BestConceptTest, IsTheFirstOfTheCombination) {
  std::mt19937_64 random(12);
  std::vector<double> room;
  for (int round = 0; round < 1000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const std::vector<ExpertAnswer> answers = picture.Dense();
    const ConceptProbability want =
        Combine(picture.taxonomy, picture.log_domain, answers, kAll).value().concepts.front();
    const auto best = BestConcept(picture.taxonomy, picture.log_domain, answers, room);
    ASSERT_TRUE(best.ok()) << best.status();
    EXPECT_EQ(best->concept_index, want.concept_index);
    EXPECT_EQ(best->probability, want.probability);
  }
}

TEST(BestConceptTest, HasTheErrorsOfTheCombination) {
  const testing::Picture picture = testing::WorkedExample();
  std::vector<double> room;
  const auto best = [&](const std::vector<ExpertAnswer>& answers) {
    return BestConcept(picture.taxonomy, picture.log_domain, answers, room);
  };
  const std::vector<float> three(3, -1.0F);
  const std::vector<float> masked(2, static_cast<float>(kMasked));
  EXPECT_THAT(best({}), StatusIs(absl::StatusCode::kUnavailable, "no expert answered"));
  EXPECT_THAT(best({{0, masked}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("gave any class")));
  EXPECT_THAT(best({{0, three}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 2 classes")));
  EXPECT_THAT(best({{9, masked}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("answer of domain 9")));
}

TEST(BestLogJointTest, IsMaskedWithoutAnswers) {
  EXPECT_EQ(BestLogJoint(testing::WorkedExample().log_domain, {}), kMasked);
}

// Faults.

TEST(CombineTest, IsUnavailableWhenNothingAnswered) {
  const testing::Picture picture = testing::WorkedExample();
  EXPECT_THAT(Combine(picture.taxonomy, picture.log_domain, {}, 5),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no expert answered")));
}

TEST(CombineTest, IsUnavailableWhenAllIsMasked) {
  testing::Picture picture = testing::WorkedExample();
  picture.log_domain[2] = kMasked;
  EXPECT_THAT(
      Combine(picture.taxonomy, picture.log_domain, picture.Answers(std::vector<size_t>{2}), 5),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("probability")));
}

TEST(CombineTest, RefusesWhatIsNoAnswerNamingDomainAndIndex) {
  const testing::Picture picture = testing::WorkedExample();
  const std::vector<float> short_row = {0.0F};
  const std::vector<float> row = {-0.7F, -0.7F};
  const auto refuses = [&](std::vector<ExpertAnswer> answers, const std::string& message) {
    EXPECT_THAT(Combine(picture.taxonomy, picture.log_domain, answers, 5),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  refuses({{1, short_row}}, "domain 1 answered 1 log-probabilities, it has 2 classes");
  refuses({{1, row}, {1, row}}, "domain 1 answered twice");
  refuses({{5, row}}, "domain 5, the model has 5");
}

TEST(CombineTest, RefusesGatesThatAreNoProbabilities) {
  testing::Picture picture = testing::WorkedExample();
  picture.log_domain[4] = std::nan("");
  EXPECT_THAT(Combine(picture.taxonomy, picture.log_domain, picture.Dense(), 5),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("domain 4 is nan")));
  picture.log_domain.pop_back();
  EXPECT_THAT(
      Combine(picture.taxonomy, picture.log_domain, picture.Answers(std::vector<size_t>{0}), 5),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4 domains, the model has 5")));
}

TEST(CombineTest, RefusesATopOfNothing) {
  const testing::Picture picture = testing::WorkedExample();
  EXPECT_THAT(Combine(picture.taxonomy, picture.log_domain, picture.Dense(), 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top = 0")));
}

}  // namespace
}  // namespace orchard::moe
