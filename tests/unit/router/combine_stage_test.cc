#include "router/combine_stage.h"

#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using experts::MissingReason;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Logs;

class CombineStageTest : public ::testing::Test {
 protected:
  /// Everybody is asked; fruit is down.
  Gather Asked() const {
    Gather gather(*moe::MakePolicy(moe::PolicyKind::kDense, std::nullopt, std::nullopt,
                                   std::nullopt, testing::kSmallDomains),
                  log_domain_, catalogue_);
    testing::Next(gather, {std::nullopt, MissingReason::kDown, std::nullopt});
    return gather;
  }

  /// `classes` is how many the expert says it has.
  static void Answer(Gather& gather, size_t domain, size_t classes) {
    gather.Answered(domain,
                    std::make_shared<const model::ScoreBatch>(testing::Scores(1, classes, 0.9)), 0);
  }

  const Catalogue catalogue_ = testing::SmallCatalogue();
  const std::vector<double> log_domain_ = Logs({0.7, 0.2, 0.1});
  const std::vector<double> log_branch_ = Logs({0.7, 0.3});
  const GateRow gates_{.log_branch = log_branch_, .unknown_score = -2.0};
};

TEST_F(CombineStageTest, MakesOneAnswerOfMany) {
  Gather gather = Asked();
  Answer(gather, kRiceDisease, 2);
  Answer(gather, kVegetable, 2);
  const auto answer = Combine(catalogue_, gates_, gather, 2);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->catalogue, &catalogue_);
  ASSERT_EQ(answer->classes.size(), 2U);
  EXPECT_EQ(answer->classes[0].domain, kRiceDisease);
  EXPECT_NEAR(answer->classes[0].probability, 0.63, 1e-6);
  EXPECT_NEAR(answer->coverage, 0.8, 1e-9);
  EXPECT_EQ(answer->outcome, moe::Outcome::kOk);
  EXPECT_EQ(answer->unknown_score, -2.0);
}

TEST_F(CombineStageTest, RoutingTellsWhatBecameOfEachDomain) {
  Gather gather = Asked();
  Answer(gather, kRiceDisease, 2);
  gather.Failed(kVegetable, absl::InternalError("broken"), MissingReason::kFailed);
  const Routing routing = RoutingOf(gates_, gather);
  EXPECT_EQ(routing.policy, moe::PolicyKind::kDense);
  EXPECT_EQ(routing.branch, 0U);
  EXPECT_NEAR(routing.branch_probability, 0.7, 1e-9);
  EXPECT_EQ(routing.Activated(), 3U);
  EXPECT_TRUE(routing.degraded());
  EXPECT_EQ(routing.domains[kRiceDisease].missing_reason, std::nullopt);
  EXPECT_EQ(routing.domains[kFruit].missing_reason, MissingReason::kDown);
  EXPECT_EQ(routing.domains[kVegetable].missing_reason, MissingReason::kFailed);
}

TEST_F(CombineStageTest, WithoutAnAnswerSaysWho) {
  Gather gather = Asked();
  gather.Failed(kRiceDisease, absl::InternalError("broken"), MissingReason::kFailed);
  gather.Failed(kVegetable, absl::InternalError("broken"), MissingReason::kFailed);
  const absl::Status status = Combine(catalogue_, gates_, gather, 5).status();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("rice_disease failed"), HasSubstr("fruit is down"))));
  EXPECT_EQ(rpc::ErrorInfoOf(status)->metadata.at("domains"), "rice_disease,fruit,vegetable");
}

TEST_F(CombineStageTest, WhatCannotBeCombinedIsNotTheCallersFault) {
  Gather gather = Asked();
  Answer(gather, kRiceDisease, 3);  // It has two classes.
  gather.GiveUp();
  EXPECT_EQ(Combine(catalogue_, gates_, gather, 5).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace orchard::router
