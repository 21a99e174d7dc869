#include "moe/plan.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log_space.h"
#include "tests/unit/moe/picture.h"

namespace orchard::moe {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using core::kMasked;

constexpr auto kUnasked = ExpertState::kUnasked;
constexpr auto kDown = ExpertState::kDown;
constexpr auto kAnswered = ExpertState::kAnswered;
constexpr auto kFailed = ExpertState::kFailed;

// All on models.md section 10, check 1: q = (A .42, B .21, C .07, D .24, E .06).
struct PlanCase {
  std::string name;
  Policy policy;
  std::vector<ExpertState> states;
  double best_joint;  ///< 0: nothing answered
  std::vector<size_t> next;
  std::vector<size_t> missing;
  bool exact;
};

class PlanTest : public ::testing::TestWithParam<PlanCase> {};

TEST_P(PlanTest, AsksMissesAndCertifies) {
  const PlanCase& param = GetParam();
  const std::vector<double> log_domain = testing::WorkedExample().log_domain;
  const double best = param.best_joint == 0.0 ? kMasked : std::log(param.best_joint);
  EXPECT_EQ(testing::WaveOf(param.policy, log_domain, param.states, best), param.next);
  EXPECT_EQ(Missing(param.policy, log_domain, param.states, best), param.missing);
  EXPECT_EQ(IsExact(log_domain, param.states, best), param.exact);
}

constexpr Policy kExactPolicy = {.kind = PolicyKind::kExact};
constexpr Policy kHardPolicy = {.kind = PolicyKind::kHard};
constexpr Policy kTopTwo = {.kind = PolicyKind::kTopK, .k = 2};
constexpr Policy kDensePolicy = {.kind = PolicyKind::kDense};
constexpr Policy kPinnedC = {.kind = PolicyKind::kPinned, .pinned = 2};

// What is still to be asked is missing until it has answered: only the last wave's is reported.
INSTANTIATE_TEST_SUITE_P(
    OneWave, PlanTest,
    ::testing::Values(PlanCase{"HardAsksA",
                               kHardPolicy,
                               {kUnasked, kUnasked, kUnasked, kUnasked, kUnasked},
                               0,
                               {0},
                               {0},
                               false},
                      PlanCase{"HardIsExactBeyondD",
                               kHardPolicy,
                               {kAnswered, kUnasked, kUnasked, kUnasked, kUnasked},
                               0.378,
                               {},
                               {},
                               true},
                      PlanCase{"HardIsNotExactBelowD",
                               kHardPolicy,
                               {kAnswered, kUnasked, kUnasked, kUnasked, kUnasked},
                               0.23,
                               {},
                               {},
                               false},
                      PlanCase{"HardDownIsNotReplaced",
                               kHardPolicy,
                               {kDown, kUnasked, kUnasked, kUnasked, kUnasked},
                               0,
                               {},
                               {0},
                               false},
                      PlanCase{"HardIgnoresWhatItDidNotChoose",
                               kHardPolicy,
                               {kAnswered, kDown, kDown, kDown, kDown},
                               0.378,
                               {},
                               {},
                               true},
                      PlanCase{"TopTwoAsksBoth",
                               kTopTwo,
                               {kUnasked, kUnasked, kUnasked, kUnasked, kUnasked},
                               0,
                               {0, 3},
                               {0, 3},
                               false},
                      PlanCase{"TopTwoAsksOnlyWhatIsUp",
                               kTopTwo,
                               {kUnasked, kUnasked, kUnasked, kDown, kUnasked},
                               0,
                               {0},
                               {0, 3},
                               false},
                      PlanCase{"TopTwoWithOneFailed",
                               kTopTwo,
                               {kAnswered, kUnasked, kUnasked, kFailed, kUnasked},
                               0.3,
                               {},
                               {3},
                               true},
                      PlanCase{"FailedMustMeetTheBound",
                               kTopTwo,
                               {kAnswered, kUnasked, kUnasked, kFailed, kUnasked},
                               0.22,
                               {},
                               {3},
                               false},
                      PlanCase{"DenseMissesInOrderOfIndex",
                               kDensePolicy,
                               {kFailed, kAnswered, kDown, kAnswered, kFailed},
                               0.18,
                               {},
                               {0, 2, 4},
                               false},
                      PlanCase{"DenseIsAlwaysExactWhenWhole",
                               kDensePolicy,
                               {kAnswered, kAnswered, kAnswered, kAnswered, kAnswered},
                               0.01,
                               {},
                               {},
                               true},
                      PlanCase{"PinnedIsNotExact",
                               kPinnedC,
                               {kUnasked, kUnasked, kAnswered, kUnasked, kUnasked},
                               0.056,
                               {},
                               {},
                               false},
                      PlanCase{"PinnedDown",
                               kPinnedC,
                               {kUnasked, kUnasked, kDown, kUnasked, kUnasked},
                               0,
                               {},
                               {2},
                               false}),
    [](const auto& param_info) { return param_info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Exact, PlanTest,
    ::testing::Values(PlanCase{"BeginsWithTheMostProbable",
                               kExactPolicy,
                               {kUnasked, kUnasked, kUnasked, kUnasked, kUnasked},
                               0,
                               {0},
                               {0},
                               false},
                      PlanCase{"StopsAtTheBound",
                               kExactPolicy,
                               {kAnswered, kUnasked, kUnasked, kUnasked, kUnasked},
                               0.378,
                               {},
                               {},
                               true},
                      PlanCase{"GoesOnBelowTheBound",
                               kExactPolicy,
                               {kAnswered, kUnasked, kUnasked, kUnasked, kUnasked},
                               0.23,
                               {3},
                               {3},
                               false},
                      PlanCase{"StepsOverWhatIsDownAndMissesIt",
                               kExactPolicy,
                               {kDown, kUnasked, kUnasked, kUnasked, kUnasked},
                               0,
                               {3},
                               {0, 3},
                               false},
                      PlanCase{"DownThatCouldHaveWonIsMissing",
                               kExactPolicy,
                               {kDown, kUnasked, kUnasked, kAnswered, kUnasked},
                               0.23,
                               {},
                               {0},
                               false},
                      PlanCase{"DownThatCouldNotWinIsNotMissing",
                               kExactPolicy,
                               {kAnswered, kDown, kUnasked, kDown, kUnasked},
                               0.378,
                               {},
                               {},
                               true},
                      PlanCase{"OnlyTheDownOnesAboveTheBestAreMissing",
                               kExactPolicy,
                               {kAnswered, kDown, kUnasked, kDown, kUnasked},
                               0.22,
                               {},
                               {3},
                               false},
                      PlanCase{"FailedIsMissing",
                               kExactPolicy,
                               {kFailed, kUnasked, kUnasked, kAnswered, kUnasked},
                               0.23,
                               {},
                               {0},
                               false},
                      PlanCase{"AllDown",
                               kExactPolicy,
                               {kDown, kDown, kDown, kDown, kDown},
                               0,
                               {},
                               {0, 1, 2, 3, 4},
                               false},
                      PlanCase{"EqualityIsEnough",
                               kExactPolicy,
                               {kAnswered, kUnasked, kUnasked, kUnasked, kUnasked},
                               0.25,
                               {},
                               {},
                               true}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(NextWaveTest, TiesGoToTheLowerIndex) {
  const std::vector<double> log_domain = testing::Logs({0.2, 0.4, 0.4});
  std::vector<ExpertState> states = {kUnasked, kUnasked, kUnasked};
  EXPECT_THAT(testing::WaveOf(kExactPolicy, log_domain, states, kMasked), ElementsAre(1));
  states[1] = kFailed;
  EXPECT_THAT(testing::WaveOf(kExactPolicy, log_domain, states, kMasked), ElementsAre(2));
}

TEST(NextWaveTest, ExactNeverAsksAMaskedDomain) {
  const std::vector<double> log_domain = {0.0, kMasked};
  EXPECT_THAT(testing::WaveOf(kExactPolicy, log_domain, std::vector{kDown, kUnasked}, kMasked),
              IsEmpty());
}

// Two domains know concept 0, the third doesn't.
class ConceptTest : public ::testing::Test {
 protected:
  std::optional<size_t> Next(std::vector<ExpertState> states, double probability, double least) {
    const Taxonomy taxonomy{.branch_of = {0, 0, 0},
                            .classes = {2, 2, 1},
                            .concept_of = {{0, 1}, {2, 0}, {3}},
                            .branches = 1,
                            .concepts = 4};
    const std::vector<double> log_domain = {std::log(0.5), std::log(0.3), std::log(0.2)};
    return NextForConcept(taxonomy, log_domain, states, /*concept_index=*/0, probability, least);
  }
};

TEST_F(ConceptTest, AsksTheMostProbableThatKnowsIt) {
  EXPECT_EQ(Next({kAnswered, kUnasked, kUnasked}, 0.4, 0.6), 1U);
  EXPECT_EQ(Next({kUnasked, kUnasked, kAnswered}, 0.1, 0.85), 0U);
}

TEST_F(ConceptTest, AsksNobodyInVain) {
  EXPECT_EQ(Next({kAnswered, kUnasked, kUnasked}, 0.6, 0.6), std::nullopt);  // It is there.
  EXPECT_EQ(Next({kAnswered, kUnasked, kUnasked}, 0.2, 0.6), std::nullopt);  // It can't get there.
  EXPECT_EQ(Next({kAnswered, kDown, kUnasked}, 0.4, 0.6), std::nullopt);     // Who could is down.
  EXPECT_EQ(Next({kAnswered, kAnswered, kUnasked}, 0.4, 0.6),
            std::nullopt);  // Nobody else knows it.
}

struct PassedOverCase {
  std::string name;
  Policy policy;
  std::vector<ExpertState> states;
  double best_joint;  ///< 0: nothing answered
  std::vector<size_t> passed;
};

class PassedOverTest : public ::testing::TestWithParam<PassedOverCase> {};

TEST_P(PassedOverTest, IsWhoWouldHaveBeenAskedWereItNotDown) {
  const PassedOverCase& param = GetParam();
  const std::vector<double> log_domain = testing::WorkedExample().log_domain;
  const double best = param.best_joint == 0.0 ? kMasked : std::log(param.best_joint);
  const std::vector<size_t> wave = testing::WaveOf(param.policy, log_domain, param.states, best);
  std::vector<size_t> passed = {7};  // Of the plan before.
  PassedOver(param.policy, log_domain, param.states, best, wave, passed);
  std::ranges::sort(passed);
  EXPECT_EQ(passed, param.passed);
}

INSTANTIATE_TEST_SUITE_P(
    Table, PassedOverTest,
    ::testing::Values(
        PassedOverCase{"NobodyIsDown",
                       kDensePolicy,
                       {kUnasked, kUnasked, kUnasked, kUnasked, kUnasked},
                       0.0,
                       {}},
        PassedOverCase{
            "AllThatThePolicyWants", kTopTwo, {kUnasked, kDown, kDown, kDown, kDown}, 0.0, {3}},
        PassedOverCase{
            "NotOneThatItDoesNot", kHardPolicy, {kUnasked, kDown, kDown, kDown, kDown}, 0.0, {}},
        PassedOverCase{"ExactTheMoreProbableOnes",
                       kExactPolicy,
                       {kDown, kUnasked, kDown, kDown, kDown},
                       0.0,
                       {0, 3}},
        PassedOverCase{"ExactThoseThatCouldWinWhenNobodyIsAsked",
                       kExactPolicy,
                       {kAnswered, kDown, kDown, kDown, kDown},
                       0.22,
                       {3}},
        PassedOverCase{"ExactAllWhenAllAreDown",
                       kExactPolicy,
                       {kDown, kDown, kDown, kDown, kDown},
                       0.0,
                       {0, 1, 2, 3, 4}}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::moe
