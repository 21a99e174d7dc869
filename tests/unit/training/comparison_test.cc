#include "training/measure/comparison.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/status_matchers.h"
#include "training/report/arms.h"

namespace orchard::training {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HolmTest, IsTheStepDownProcedureByHand) {
  // Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, and no smaller than before.
  const auto near = [](double p) { return DoubleNear(p, 1e-12); };
  EXPECT_THAT(Holm(std::vector<double>{.01, .04, .03, .005}),
              ElementsAre(near(.03), near(.06), near(.06), near(.02)));
  EXPECT_THAT(Holm(std::vector<double>{.6, .7}), ElementsAre(1.0, 1.0));
  EXPECT_TRUE(Holm({}).empty());
}

/// Right where `rights` says 1.
Arm ArmOf(const std::string& name, std::vector<std::vector<std::uint8_t>> rights,
          std::vector<std::uint8_t> votes) {
  return {.name = name, .right = std::move(rights), .vote_right = std::move(votes)};
}

/// The first `runs[0]` are 1, the next `runs[1]` are 0, the next `runs[2]` are 1, and so on.
std::vector<std::uint8_t> Pattern(const std::vector<size_t>& runs) {
  std::vector<std::uint8_t> pattern;
  for (size_t r = 0; r < runs.size(); ++r) {
    pattern.insert(pattern.end(), runs[r], static_cast<std::uint8_t>(r % 2 == 0));
  }
  return pattern;
}

// models.md section 10, check 22: b 8, c 2 gives .109375; b 7, c 0 gives .015625.
TEST(CompareArmsTest, PairsHaveMcNemarsAndHolmsPByHand) {
  const auto first = Pattern({88, 2, 0, 10});   // Right on 0 to 87.
  const auto second = Pattern({80, 8, 2, 10});  // Right on 0 to 79, 88 and 89.
  const auto third = Pattern({81, 9, 0, 10});   // Right on 0 to 80.
  const std::vector<Arm> arms = {ArmOf("a", {first}, first), ArmOf("b", {second}, second),
                                 ArmOf("c", {third}, third)};
  const std::vector<size_t> fold(100, 0);
  const Comparison comparison = CompareArms(arms, fold, {.draws = 10});
  ASSERT_EQ(comparison.pairs.size(), 3U);
  const PairFigures& ab = comparison.pairs[0];
  EXPECT_EQ(ab.votes.only_first, 8U);
  EXPECT_EQ(ab.votes.only_second, 2U);
  EXPECT_NEAR(ab.p, 0.109375, 1e-12);
  EXPECT_NEAR(ab.mean_difference, 0.06, 1e-12);
  const PairFigures& ac = comparison.pairs[1];
  EXPECT_EQ(ac.votes.only_first, 7U);
  EXPECT_EQ(ac.votes.only_second, 0U);
  EXPECT_NEAR(ac.p, 0.015625, 1e-12);
  EXPECT_NEAR(ac.holm, 3 * 0.015625, 1e-12);
  EXPECT_NEAR(ab.holm, 2 * 0.109375, 1e-12);
  const PairFigures& bc = comparison.pairs[2];
  EXPECT_EQ(bc.votes.only_first, 2U);
  EXPECT_EQ(bc.votes.only_second, 1U);
  EXPECT_EQ(bc.holm, 1.0);
  EXPECT_EQ(comparison.arms[0].vote.hits, 88U);
  EXPECT_EQ(comparison.arms[0].interval.low, Wilson(88, 100).low);
  EXPECT_LT(ab.interval.low, 0.06);
  EXPECT_GT(ab.interval.high, 0.06);
}

TEST(BootstrapDifferenceTest, OfEqualArmsIsZeroAndOfOppositeOnesIsOne) {
  const auto all = Pattern({60}), none = Pattern({0, 60});
  std::vector<size_t> fold;
  for (size_t i = 0; i < 60; ++i) fold.push_back(i % 5);
  const Arm good = ArmOf("good", {all, all}, all), bad = ArmOf("bad", {none, none}, none);
  const Interval same = BootstrapDifference(good, good, fold, {});
  EXPECT_EQ(same.low, 0.0);
  EXPECT_EQ(same.high, 0.0);
  const Interval opposite = BootstrapDifference(good, bad, fold, {});
  EXPECT_EQ(opposite.low, 1.0);
  EXPECT_EQ(opposite.high, 1.0);
}

TEST(BootstrapDifferenceTest, OfPicturesIsNearlyTheNormalInterval) {
  // In 400 pictures 40 differences of 1 and 20 of -1: mean .05, error √((.15 - .0025) / 400).
  const auto first = Pattern({40, 20, 340}), second = Pattern({0, 40, 360});
  const std::vector<size_t> fold(400, 0);
  const Interval interval =
      BootstrapDifference(ArmOf("a", {first}, first), ArmOf("b", {second}, second), fold, {});
  EXPECT_NEAR(interval.low, 0.05 - 1.96 * 0.0192, 0.005);
  EXPECT_NEAR(interval.high, 0.05 + 1.96 * 0.0192, 0.005);
}

TEST(BootstrapDifferenceTest, SeedsAreDrawnToo) {
  const auto all = Pattern({50}), none = Pattern({0, 50});
  const std::vector<size_t> fold(50, 0);
  // Of two seeds one is right everywhere, one nowhere: one draw in four has the first one alone.
  const Interval interval =
      BootstrapDifference(ArmOf("a", {all, none}, all), ArmOf("b", {none, none}, none), fold, {});
  EXPECT_EQ(interval.low, 0.0);
  EXPECT_EQ(interval.high, 1.0);
}

Prediction Said(const std::string& picture, const std::string& label, const std::string& answer,
                double probability = 0.9) {
  return {.picture = picture, .label = label, .answer = answer, .probability = probability};
}

RunAnswers RunOf(const std::string& work, const std::string& recipe, std::uint64_t seed,
                 std::vector<Prediction> predictions) {
  return {.work = work, .recipe = recipe, .seed = seed, .predictions = std::move(predictions)};
}

/// Two folds of two pictures by three seeds, and another network that is always right.
std::vector<RunAnswers> Runs() {
  std::vector<RunAnswers> runs = {
      RunOf("a1", "net", 1, {Said("p", "x", "x"), Said("q", "x", "y")}),
      RunOf("a2", "net", 2, {Said("p", "x", "x"), Said("q", "x", "y")}),
      RunOf("a3", "net", 3, {Said("p", "x", "y"), Said("q", "x", "x")}),
      // Three answers: the surest one, and of equally sure ones the first by name.
      RunOf("b1", "net", 1, {Said("r", "x", "x", 0.8), Said("s", "z", "z", 0.5)}),
      RunOf("b2", "net", 2, {Said("r", "x", "y", 0.5), Said("s", "z", "x", 0.5)}),
      RunOf("b3", "net", 3, {Said("r", "x", "z", 0.5), Said("s", "z", "y", 0.5)})};
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    runs.push_back(RunOf(
        "c" + std::to_string(seed), "other", seed,
        {Said("p", "x", "x"), Said("q", "x", "x"), Said("r", "x", "x"), Said("s", "z", "z")}));
  }
  return runs;
}

TEST(GatherArmsTest, FoldsAreJoinedAndSeedsVote) {
  const auto arms = GatherArms(Runs());
  ASSERT_THAT(arms, IsOk());
  ASSERT_EQ(arms->arms.size(), 2U);
  EXPECT_THAT(arms->seeds, ElementsAre(1U, 2U, 3U));
  const Arm& net = arms->arms[0];
  EXPECT_EQ(net.name, "net");
  EXPECT_THAT(net.right, ElementsAre(ElementsAre(1, 0, 1, 1), ElementsAre(1, 0, 0, 0),
                                     ElementsAre(0, 1, 0, 0)));
  EXPECT_THAT(net.vote_right, ElementsAre(1, 0, 1, 0));
  EXPECT_EQ(arms->fold[0], arms->fold[1]);
  EXPECT_EQ(arms->fold[2], arms->fold[3]);
  EXPECT_NE(arms->fold[0], arms->fold[2]);
  const Comparison comparison = CompareArms(arms->arms, arms->fold, {.draws = 100});
  EXPECT_THAT(ToText(*arms, comparison),
              AllOf(HasSubstr("4 pictures, 3 seeds"), HasSubstr("net against other: votes -50.00"),
                    HasSubstr("McNemar p 0.5")));
  const auto json = nlohmann::json::parse(ToJson(*arms, comparison));
  EXPECT_EQ(json["networks"][1]["mean"], 1.0);
  EXPECT_EQ(json["pairs"][0]["only_second"], 2);
  EXPECT_EQ(json["pairs"][0]["interval"].size(), 2U);
}

TEST(GatherArmsTest, RefusesWhatIsNotTheSamePictures) {
  EXPECT_THAT(GatherArms({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no run")));
  auto runs = Runs();
  runs.push_back(RunOf("again", "net", 2, {Said("q", "x", "x")}));
  EXPECT_THAT(GatherArms(runs), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("again and a2 both answer q")));
  runs = Runs();
  runs.pop_back();
  EXPECT_THAT(GatherArms(runs), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("other has the seeds 1, 2, net has 1, 2, 3")));
  runs = Runs();
  runs.back().predictions.pop_back();
  EXPECT_THAT(GatherArms(runs),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has not answered s")));
  runs = Runs();
  runs.back().predictions.push_back(Said("t", "x", "x"));
  EXPECT_THAT(GatherArms(runs), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("has answered 5 pictures, net 4")));
  runs = Runs();
  runs.back().predictions.back().label = "x";
  EXPECT_THAT(GatherArms(runs),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("another label for s")));
}

}  // namespace
}  // namespace orchard::training
