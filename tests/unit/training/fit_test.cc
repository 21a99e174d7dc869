// A whole run on a handful of drawn pictures: train, stop, go on, export, load, measure.
#include "training/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/loaded_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"
#include "training/evaluate.h"
#include "training/export.h"
#include "training/import.h"
#include "training/report.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::HasSubstr;

void ExpectSame(const Snapshot& wanted, const std::filesystem::path& file) {
  const auto found = ReadSnapshot(file);
  ASSERT_THAT(found, IsOk());
  ASSERT_EQ(found->size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    EXPECT_TRUE(torch::allclose(tensor, found->at(name), 1e-6, 1e-6)) << name;
  }
}

class FitTest : public ::testing::Test {
 protected:
  RunPlaces Places(const std::string& work) const { return root_.Places(work); }

  TinyRun root_;
};

TEST_F(FitTest, GoingOnAfterAStopGivesTheSameNetworkAsNeverHavingStopped) {
  const v1::Recipe recipe = TinyRecipe();
  ASSERT_THAT(Fit(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.stop_after = 1}), IsOk());
  EXPECT_FALSE(std::filesystem::exists(root_ / "halves" / kFinal));
  EXPECT_THAT(Fit(recipe, Places("halves"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--resume")));
  ASSERT_THAT(Fit(recipe, Places("halves"), {.resume = true}), IsOk());
  const auto whole = ReadSnapshot(root_ / "whole" / kFinal);
  ASSERT_THAT(whole, IsOk());
  ExpectSame(*whole, root_ / "halves" / kFinal);
}

TEST_F(FitTest, AStartShareIsTheMeanOfWhatARunBeganWithAndWhatItLearned) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  recipe.mutable_optimisation()->set_refit_epochs(0);
  ASSERT_THAT(Fit(recipe, Places("start"), {}), IsOk());
  const FitOptions going_on = {.start_from = root_ / "start"};
  ASSERT_THAT(Fit(recipe, Places("alone"), going_on), IsOk());
  recipe.mutable_optimisation()->set_start_share(0.25);
  ASSERT_THAT(Fit(recipe, Places("mean"), going_on), IsOk());
  const auto encoder = [&](const char* work) {
    return ReadSnapshot(root_ / work / kFinal)->at("encoder.features.17.conv.2.weight");
  };
  EXPECT_FALSE(torch::equal(encoder("start"), encoder("alone")));
  EXPECT_TRUE(torch::allclose(encoder("mean"), 0.25 * encoder("start") + 0.75 * encoder("alone"),
                              1e-5, 1e-7));
}

TEST_F(FitTest, GoingOnAfterAKillDuringTheRefitGivesTheSameNetwork) {
  const v1::Recipe recipe = TinyRecipe();
  ASSERT_THAT(Fit(recipe, Places("work"), {}), IsOk());
  const auto whole = ReadSnapshot(root_ / "work" / kFinal);
  ASSERT_THAT(whole, IsOk());
  std::filesystem::remove(root_ / "work" / kFinal);  // The last epoch's checkpoint stays.
  ASSERT_THAT(Fit(recipe, Places("work"), {.resume = true}), IsOk());
  ExpectSame(*whole, root_ / "work" / kFinal);
}

TEST_F(FitTest, GoingOnKeepsTheMedoidsThatTheRunBeganWith) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_data()->set_undersampling(v1::MEDOID);
  for (v1::Domain& domain : *recipe.mutable_domains()) domain.set_quota(2);
  // Far enough that the trained encoder would choose others.
  recipe.mutable_optimisation()->set_frozen_blocks(0);
  recipe.mutable_optimisation()->set_encoder_rate(1e-2);
  recipe.mutable_optimisation()->set_average_decay(0.0);
  ASSERT_THAT(Fit(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.stop_after = 1}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.resume = true}), IsOk());
  const auto whole = ReadSnapshot(root_ / "whole" / kFinal);
  ASSERT_THAT(whole, IsOk());
  ExpectSame(*whole, root_ / "halves" / kFinal);
}

TEST_F(FitTest, AStartShareWithoutAStartIsRefusedBeforeAnythingIsDone) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_start_share(0.5);
  for (const bool resume : {false, true}) {
    EXPECT_THAT(Fit(recipe, Places("work"), {.resume = resume}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--start-from")));
  }
  EXPECT_FALSE(std::filesystem::exists(root_ / "work"));
}

TEST_F(FitTest, AStartThatIsNoFinishedRunIsRefusedBeforeAnythingIsDone) {
  EXPECT_THAT(Fit(TinyRecipe(), Places("work"), {.start_from = root_ / "nowhere"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere/final.safetensors")));
  EXPECT_FALSE(std::filesystem::exists(root_ / "work"));
}

TEST_F(FitTest, RefusesToGoOnWithAnotherRecipe) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  ASSERT_THAT(Fit(recipe, Places("work"), {}), IsOk());
  recipe.set_seed(6);
  EXPECT_THAT(Fit(recipe, Places("work"), {.resume = true}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another recipe")));
}

TEST_F(FitTest, WhatIsExportedCanBeServedAndMeasured) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  ASSERT_THAT(Fit(recipe, Places("work"), {}), IsOk());
  const std::filesystem::path out = root_ / "model" / "1";
  ASSERT_THAT(Export(Places("work"), {.out = out}), IsOk());
  EXPECT_THAT(Export(Places("work"), {.out = out}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
  const auto loaded = model::LoadRouterModel(out, /*max_batch=*/1);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->taxonomy.domains(), 2U);
  for (const auto& file : std::filesystem::directory_iterator(root_ / "data" / "leaf" / "broad")) {
    std::filesystem::create_directories(root_ / "data" / "unknown" / "odd");
    std::filesystem::copy_file(file, root_ / "data" / "unknown" / "odd" / file.path().filename());
  }
  const auto report = EvaluateModel({.model = root_ / "model", .data = root_ / "data"});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->domains[0].routed.total, 4U);  // A quarter of two classes of eight.
  EXPECT_EQ(report->domains[0].encoder_only.total, 4U);
  EXPECT_EQ(report->exact_equals_dense.hits, report->exact_equals_dense.total);
  EXPECT_EQ(report->unknown_rejected.total, kPictures);
  EXPECT_THAT(ToText(*report), HasSubstr("dense"));
  EXPECT_THAT(ToJson(*report), HasSubstr("\"mean_by_concept\""));
  EXPECT_EQ(ToManifest(*report).domains_size(), 2);
}

TEST_F(FitTest, EvaluationSaysWhichClassesTheDataLacks) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  ASSERT_THAT(Fit(recipe, Places("work"), {}), IsOk());
  ASSERT_THAT(Export(Places("work"), {.out = root_ / "model" / "1"}), IsOk());
  std::filesystem::rename(root_ / "data" / "leaf" / "broad", root_ / "data" / "leaf" / "wide");
  std::filesystem::remove(root_ / "data" / "leaf.tsv");
  EXPECT_THAT(EvaluateModel({.model = root_ / "model", .data = root_ / "data"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wide")));
}

TEST(ImportTest, SaysWhereItLookedForWeights) {
  const testing::TempDir empty;
  EXPECT_THAT(ImportMobileNetV2(empty.path()).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(empty.path().string())));
}

}  // namespace
}  // namespace orchard::training
