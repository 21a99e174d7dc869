#include "router/gather.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using experts::MissingReason;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Logs;
using ::testing::Not;

const std::vector<std::string> kNames = {"rice_disease", "fruit", "vegetable"};
using Unavailable = std::vector<std::optional<MissingReason>>;
const Unavailable kAll = {std::nullopt, std::nullopt, std::nullopt};
const Unavailable kNoFruit = {std::nullopt, MissingReason::kDown, std::nullopt};

/// Without thresholds.
const Catalogue kCatalogue = testing::SmallCatalogue();

moe::Policy Policy(moe::PolicyKind kind) {
  return *moe::MakePolicy(kind, std::nullopt, std::nullopt, std::nullopt, 3);
}

std::shared_ptr<const model::ScoreBatch> Says(size_t classes, double first) {
  return std::make_shared<const model::ScoreBatch>(testing::Scores(1, classes, first));
}

TEST(GatherTest, ExactStopsWhenNobodyElseCouldWin) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.7, 0.2, 0.1}), kCatalogue);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kRiceDisease));
  EXPECT_TRUE(gather.waiting());
  gather.Answered(kRiceDisease, Says(2, 0.9), 0);
  EXPECT_FALSE(gather.waiting());
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
  EXPECT_TRUE(gather.Exact());
  EXPECT_THAT(gather.Missing(), IsEmpty());
  EXPECT_THAT(gather.Activated(), ElementsAre(true, false, false));
}

TEST(GatherTest, ExactGoesOnWhileAnotherCouldWin) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.4, 0.35, 0.25}), kCatalogue);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kRiceDisease));
  gather.Answered(kRiceDisease, Says(2, 0.5), 0);  // 0.20 < 0.35
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kFruit));
  gather.Answered(kFruit, Says(3, 0.9), 0);  // 0.315 > 0.25
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
  EXPECT_TRUE(gather.Exact());
}

/// What an expert says of each of its classes.
std::shared_ptr<const model::ScoreBatch> SaysAll(const std::vector<double>& probabilities) {
  model::ScoreBatch scores = testing::Scores(1, probabilities.size(), 0.5);
  const std::vector<double> logs = Logs(probabilities);
  std::ranges::transform(logs, scores.log_probabilities.begin(),
                         [](double log) { return static_cast<float>(log); });
  return std::make_shared<const model::ScoreBatch>(std::move(scores));
}

Catalogue DemandingCatalogue() {
  Catalogue catalogue = testing::SmallCatalogue();
  catalogue.thresholds.confidence = 0.6;
  return catalogue;
}

TEST(GatherTest, ExactAsksWhoCouldMakeASharedConceptSure) {
  const Catalogue demanding = DemandingCatalogue();
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.1, 0.5, 0.4}), demanding);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kFruit));
  gather.Answered(kFruit, SaysAll({0.05, 0.9, 0.05}), 0);  // A carrot: .45, vegetable can't win.
  EXPECT_TRUE(gather.Exact());
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kVegetable));
  gather.Answered(kVegetable, SaysAll({0.9, 0.1}), 0);  // .45 + .36
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
  EXPECT_THAT(gather.Missing(), IsEmpty());
  EXPECT_THAT(gather.Activated(), ElementsAre(false, true, true));
}

TEST(GatherTest, ExactAsksNobodyForAConceptThatOthersDoNotKnow) {
  const Catalogue demanding = DemandingCatalogue();
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.1, 0.5, 0.4}), demanding);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kFruit));
  gather.Answered(kFruit, SaysAll({0.9, 0.05, 0.05}), 0);  // An apple: .45.
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
}

TEST(GatherTest, AFailedExpertLeavesTheAnswerInexactAndDegraded) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kAll);
  gather.Failed(kRiceDisease, absl::UnavailableError("gone"), MissingReason::kFailed);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kFruit));
  gather.Answered(kFruit, Says(3, 0.9), 0);
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
  EXPECT_FALSE(gather.Exact());
  EXPECT_THAT(gather.Missing(), ElementsAre(kRiceDisease));
}

TEST(GatherTest, AnExpertThatIsDownIsActivatedButNotAsked) {
  Gather gather(Policy(moe::PolicyKind::kDense), Logs({0.7, 0.2, 0.1}), kCatalogue);
  EXPECT_THAT(testing::Next(gather, kNoFruit), ElementsAre(kRiceDisease, kVegetable));
  gather.Answered(kRiceDisease, Says(2, 0.9), 0);
  gather.Answered(kVegetable, Says(2, 0.9), 0);
  EXPECT_THAT(gather.Missing(), ElementsAre(kFruit));
  EXPECT_THAT(gather.Activated(), ElementsAre(true, true, true));
  EXPECT_FALSE(gather.HasAnswered(kFruit));
}

TEST(GatherTest, GivingUpMakesWhatIsWaitedForMissing) {
  Gather gather(Policy(moe::PolicyKind::kDense), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kAll);
  gather.Answered(kFruit, Says(3, 0.9), 0);
  gather.GiveUp();
  EXPECT_FALSE(gather.waiting());
  EXPECT_THAT(gather.Missing(), ElementsAre(kRiceDisease, kVegetable));
}

TEST(GatherTest, NothingIsUnavailableWhenSomeoneIsDownOrFailed) {
  Gather gather(Policy(moe::PolicyKind::kDense), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kNoFruit);
  gather.Failed(kRiceDisease, absl::InternalError("NaN"), MissingReason::kFailed);
  gather.GiveUp();
  EXPECT_THAT(gather.WhyNothing(kNames),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("rice_disease failed (INTERNAL)"),
                             HasSubstr("fruit is down"), HasSubstr("vegetable is late"))));
}

TEST(GatherTest, NothingIsLateWhenAllAreMerelyLate) {
  Gather gather(Policy(moe::PolicyKind::kTopK), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kAll);
  gather.Failed(kFruit, absl::DeadlineExceededError("too late"), MissingReason::kTimeout);
  gather.GiveUp();
  EXPECT_THAT(gather.WhyNothing(kNames),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("rice_disease is late"), HasSubstr("fruit is late"),
                             Not(HasSubstr("vegetable")))));
}

TEST(GatherTest, TimeoutsBeforeTheDeadlineAreUnavailable) {
  Gather gather(Policy(moe::PolicyKind::kHard), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kAll);
  gather.Failed(kRiceDisease, absl::DeadlineExceededError("2 s"), MissingReason::kTimeout);
  EXPECT_THAT(testing::Next(gather, kAll), IsEmpty());
  EXPECT_THAT(gather.WhyNothing(kNames),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is late")));
}

TEST(GatherTest, WhoWasNotAskedInTimeIsNotNamed) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.5, 0.3, 0.2}), kCatalogue);
  EXPECT_THAT(testing::Next(gather, kAll), ElementsAre(kRiceDisease));
  gather.GiveUp();  // Fruit would have been next.
  EXPECT_THAT(gather.Missing(), ElementsAre(kRiceDisease, kFruit));
  EXPECT_EQ(gather.WhyMissing(kFruit), MissingReason::kTimeout);
  EXPECT_THAT(gather.WhyNothing(kNames),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("rice_disease is late"), Not(HasSubstr("fruit")))));
}

TEST(GatherTest, TellsWhyEachIsMissing) {
  Gather gather(Policy(moe::PolicyKind::kDense), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kNoFruit);
  gather.Failed(kRiceDisease, absl::ResourceExhaustedError("full"), MissingReason::kOverloaded);
  gather.GiveUp();
  EXPECT_EQ(gather.WhyMissing(kRiceDisease), MissingReason::kOverloaded);
  EXPECT_EQ(gather.WhyMissing(kFruit), MissingReason::kDown);
  EXPECT_EQ(gather.WhyMissing(kVegetable), MissingReason::kTimeout);
}

TEST(GatherTest, AWaveHasAReason) {
  Gather top(Policy(moe::PolicyKind::kTopK), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(top, kAll);
  EXPECT_EQ(top.wave_reason(), WaveReason::kPolicy);
  const Catalogue demanding = DemandingCatalogue();
  Gather exact(Policy(moe::PolicyKind::kExact), Logs({0.1, 0.5, 0.4}), demanding);
  testing::Next(exact, kAll);
  EXPECT_EQ(exact.wave_reason(), WaveReason::kCouldWin);
  exact.Answered(kFruit, SaysAll({0.05, 0.9, 0.05}), 0);
  testing::Next(exact, kAll);
  EXPECT_EQ(exact.wave_reason(), WaveReason::kCouldMakeItSure);
}

TEST(GatherTest, AnswersPointAtTheirRowOfASharedBatch) {
  Gather gather(Policy(moe::PolicyKind::kHard), Logs({0.7, 0.2, 0.1}), kCatalogue);
  testing::Next(gather, kAll);
  auto two = testing::Scores(2, 2, 0.9);
  two.log_probabilities[2] = -3.0F;
  gather.Answered(kRiceDisease, std::make_shared<const model::ScoreBatch>(two), 1);
  ASSERT_EQ(gather.Answers().size(), 1U);
  EXPECT_EQ(gather.Answers()[0].log_probabilities[0], -3.0F);
}

/// Plans as the scatter does; what is wanted now and was not before.
std::vector<size_t> WantedNext(Gather& gather, const Unavailable& unavailable) {
  PlanRoom room;
  gather.Next(unavailable, room);
  std::ranges::sort(room.wanted);
  return room.wanted;
}

TEST(GatherWantsTest, WhatIsAskedIsWantedOnce) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.4, 0.35, 0.25}), kCatalogue);
  EXPECT_THAT(WantedNext(gather, kAll), ElementsAre(kRiceDisease));
  gather.Answered(kRiceDisease, Says(2, 0.5), 0);  // 0.20 < 0.35
  EXPECT_THAT(WantedNext(gather, kAll), ElementsAre(kFruit));
  gather.Answered(kFruit, Says(3, 0.9), 0);  // 0.315 > 0.25
  EXPECT_THAT(WantedNext(gather, kAll), IsEmpty());
}

TEST(GatherWantsTest, ExactWantsWhoIsDownWhenItsTurnComes) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.4, 0.35, 0.25}), kCatalogue);
  EXPECT_THAT(WantedNext(gather, kNoFruit), ElementsAre(kRiceDisease));
  gather.Answered(kRiceDisease, Says(2, 0.5), 0);
  // Fruit's turn is before vegetable's, which is asked in its place.
  EXPECT_THAT(WantedNext(gather, kNoFruit), ElementsAre(kFruit, kVegetable));
  gather.Answered(kVegetable, Says(2, 0.9), 0);
  EXPECT_THAT(WantedNext(gather, kNoFruit), IsEmpty());
}

TEST(GatherWantsTest, ExactWantsNobodyWhoCouldNotWin) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.7, 0.2, 0.1}), kCatalogue);
  EXPECT_THAT(WantedNext(gather, kNoFruit), ElementsAre(kRiceDisease));
  gather.Answered(kRiceDisease, Says(2, 0.9), 0);
  EXPECT_THAT(WantedNext(gather, kNoFruit), IsEmpty());
  EXPECT_THAT(gather.Missing(), IsEmpty());
}

TEST(GatherWantsTest, WhoComesBackMeanwhileIsAskedAndNotWantedAgain) {
  Gather gather(Policy(moe::PolicyKind::kExact), Logs({0.35, 0.4, 0.25}), kCatalogue);
  EXPECT_THAT(WantedNext(gather, kNoFruit), ElementsAre(kRiceDisease, kFruit));
  gather.Answered(kRiceDisease, Says(2, 0.5), 0);
  EXPECT_THAT(WantedNext(gather, kAll), IsEmpty());
  EXPECT_TRUE(gather.waiting()) << "for fruit";
}

TEST(GatherWantsTest, InTheEndItIsWhatThePolicyChose) {
  const Unavailable unavailable = {MissingReason::kCold, MissingReason::kOverloaded,
                                   MissingReason::kEjected};
  for (const moe::PolicyKind kind : moe::AllPolicies()) {
    const moe::Policy policy = *moe::MakePolicy(
        kind, std::nullopt, std::nullopt,
        kind == moe::PolicyKind::kPinned ? std::optional<size_t>(kVegetable) : std::nullopt, 3);
    Gather gather(policy, Logs({0.7, 0.2, 0.1}), kCatalogue);
    const std::vector<size_t> wanted = WantedNext(gather, unavailable);
    EXPECT_EQ(wanted, gather.Missing()) << moe::Name(kind);
    EXPECT_FALSE(gather.Missing().empty());
  }
}

}  // namespace
}  // namespace orchard::router
