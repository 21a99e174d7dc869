// A whole run on a handful of drawn pictures: train, stop, go on, begin with another.
#include "training/studies/masked_moe/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"
#include "training/work_folder.h"

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

/// Every tensor of `file`, bit by bit.
void ExpectSameBits(const std::filesystem::path& wanted, const std::filesystem::path& file) {
  const auto want = ReadSnapshot(wanted);
  const auto found = ReadSnapshot(file);
  ASSERT_THAT(want, IsOk());
  ASSERT_THAT(found, IsOk());
  ASSERT_EQ(found->size(), want->size());
  for (const auto& [name, tensor] : *want) {
    EXPECT_TRUE(torch::equal(tensor, found->at(name))) << name;
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

// Twenty steps, every phase, one thread: two runs and one that stopped are one run, to the last
// bit.
TEST_F(FitTest, OnOneThreadRunsAreEqualBitByBitWhetherOrNotTheyStopped) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_data()->set_epoch_pictures(28);
  recipe.mutable_optimisation()->set_epochs(3);
  recipe.mutable_optimisation()->set_gradient_norm(5.0);
  recipe.mutable_masked_moe()->set_tail_epochs(1);
  recipe.mutable_masked_moe()->set_linear_heads(true);
  const auto places = [&](const char* work) {
    RunPlaces one = Places(work);
    one.threads = 1;
    return one;
  };
  ASSERT_THAT(Fit(recipe, places("first"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, places("second"), {}), IsOk());
  for (const size_t epochs : {1, 2}) {
    ASSERT_THAT(Fit(recipe, places("pieces"), {.resume = epochs > 1, .stop_after = epochs}),
                IsOk());
  }
  ASSERT_THAT(Fit(recipe, places("pieces"), {.resume = true}), IsOk());
  for (const char* work : {"second", "pieces"}) {
    ExpectSameBits(root_ / "first" / kCheckpoint, root_ / work / kCheckpoint);
    ExpectSameBits(root_ / "first" / kFinal, root_ / work / kFinal);
  }
}

TEST_F(FitTest, AStartShareIsTheMeanOfWhatARunBeganWithAndWhatItLearned) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  recipe.mutable_masked_moe()->set_refit_epochs(0);
  ASSERT_THAT(Fit(recipe, Places("start"), {}), IsOk());
  const FitOptions going_on = {.start_from = root_ / "start"};
  ASSERT_THAT(Fit(recipe, Places("alone"), going_on), IsOk());
  recipe.mutable_masked_moe()->set_start_share(0.25);
  ASSERT_THAT(Fit(recipe, Places("mean"), going_on), IsOk());
  const auto encoder = [&](const char* work) {
    return ReadSnapshot(root_ / work / kFinal)->at("encoder.features.17.conv.2.weight");
  };
  EXPECT_FALSE(torch::equal(encoder("start"), encoder("alone")));
  EXPECT_TRUE(torch::allclose(encoder("mean"), 0.25 * encoder("start") + 0.75 * encoder("alone"),
                              1e-5, 1e-7));
}

TEST_F(FitTest, LinearHeadsGiveWayToTheRecipesOwnInTheRefit) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_masked_moe()->set_linear_heads(true);
  ASSERT_THAT(Fit(recipe, Places("work"), {.stop_after = 1}), IsOk());
  const auto moving = ReadSnapshot(root_ / "work" / kCheckpoint);
  ASSERT_THAT(moving, IsOk());
  EXPECT_TRUE(moving->contains("network.experts.leaf.classify.weight"));
  EXPECT_FALSE(moving->contains("network.experts.leaf.project.0.weight"));
  EXPECT_THAT(LoadRun(Places("work")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("final.safetensors")));
  ASSERT_THAT(Fit(recipe, Places("work"), {.resume = true}), IsOk());
  const auto run = LoadRun(Places("work"));
  ASSERT_THAT(run, IsOk());
  EXPECT_TRUE(run->network->ReadsMap(0));
}

TEST_F(FitTest, AStartWithOtherHeadsGivesItsEncoder) {
  v1::Recipe recipe = TinyRecipe();
  ASSERT_THAT(Fit(recipe, Places("start"), {}), IsOk());
  recipe.mutable_domains(0)->mutable_expert()->mutable_linear();
  recipe.mutable_optimisation()->set_epochs(0);
  recipe.mutable_masked_moe()->set_refit_epochs(0);
  ASSERT_THAT(Fit(recipe, Places("work"), {.start_from = root_ / "start"}), IsOk());
  const auto start = ReadSnapshot(root_ / "start" / kFinal);
  const auto work = ReadSnapshot(root_ / "work" / kFinal);
  ASSERT_THAT(work, IsOk());
  const std::string last = "encoder.features.17.conv.2.weight";
  EXPECT_TRUE(torch::equal(start->at(last), work->at(last)));
  EXPECT_TRUE(work->contains("experts.leaf.classify.weight"));
  EXPECT_FALSE(work->contains("experts.leaf.project.0.weight"));
}

TEST_F(FitTest, TailsThatAStartLacksBeginAsCopiesOfItsEncodersEnd) {
  v1::Recipe recipe = TinyRecipe();
  v1::Recipe other = recipe;
  other.mutable_domains(0)->mutable_expert()->mutable_linear();
  ASSERT_THAT(Fit(other, Places("start"), {}), IsOk());
  recipe.mutable_optimisation()->set_epochs(0);
  recipe.mutable_masked_moe()->set_head_epochs(0);
  recipe.mutable_masked_moe()->set_refit_epochs(0);
  ASSERT_THAT(Fit(recipe, Places("work"), {.start_from = root_ / "start"}), IsOk());
  const auto start = ReadSnapshot(root_ / "start" / kFinal);
  const auto work = ReadSnapshot(root_ / "work" / kFinal);
  ASSERT_THAT(work, IsOk());
  EXPECT_TRUE(torch::equal(work->at("experts.leaf.project.0.weight"),
                           start->at("encoder.features.18.0.weight")));
}

TEST_F(FitTest, GoingOnAfterAKillDuringTheRefitGivesTheSameNetwork) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  recipe.mutable_masked_moe()->set_head_epochs(0);
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
  recipe.mutable_data()->set_validation_share(0.0);
  recipe.mutable_masked_moe()->set_head_epochs(0);
  recipe.mutable_masked_moe()->set_refit_epochs(0);
  recipe.mutable_optimisation()->set_encoder_rate(0.1);  // The trained encoder would choose others.
  ASSERT_THAT(Fit(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.stop_after = 1}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.resume = true}), IsOk());
  const auto whole = ReadSnapshot(root_ / "whole" / kFinal);
  ASSERT_THAT(whole, IsOk());
  ExpectSame(*whole, root_ / "halves" / kFinal);
}

TEST_F(FitTest, AStartShareWithoutAStartIsRefusedBeforeAnythingIsDone) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_masked_moe()->set_start_share(0.5);
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

TEST_F(FitTest, ADivergedRunKeepsItsLastCheckpointAndSaysWhereItWas) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_masked_moe()->set_head_epochs(0);
  recipe.mutable_optimisation()->set_encoder_rate(1e37);
  recipe.mutable_optimisation()->set_head_rate(1e37);
  EXPECT_THAT(Fit(recipe, Places("work"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::AllOf(HasSubstr("epoch 1 of 2, step 2 of "),
                                        HasSubstr("the loss is "), HasSubstr("expert "))));
  const auto kept = ReadSnapshot(root_ / "work" / kCheckpoint);
  ASSERT_THAT(kept, IsOk());
  EXPECT_EQ(kept->at("epoch").item<int64_t>(), 0);
  for (const auto& [name, tensor] : *kept) {
    EXPECT_TRUE(tensor.to(torch::kFloat64).isfinite().all().item<bool>()) << name;
  }
}

// Without head epochs, and shares that leave one picture a class aside, a run is quick.
v1::Recipe ShortRecipe() {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(2);
  recipe.mutable_data()->set_epoch_pictures(4);
  recipe.mutable_masked_moe()->set_head_epochs(0);
  recipe.mutable_masked_moe()->set_refit_epochs(0);
  return recipe;
}

TEST_F(FitTest, WhatWasDealtStaysWhenPicturesCome) {
  const v1::Recipe recipe = ShortRecipe();
  ASSERT_THAT(Fit(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("halves"), {.stop_after = 1}), IsOk());
  const auto before = core::ReadFile(root_ / "halves" / kSplit);
  // More pictures than there were: dealt anew, most would change sides.
  for (size_t i = 0; i < 12; ++i) {
    WritePicture(root_ / "data" / "plain" / "red" / ("new" + std::to_string(i) + ".jpg"),
                 testing::DrawGrains(64, 64, 900 + i));
  }
  std::filesystem::remove(root_ / "data" / "plain.tsv");
  ASSERT_THAT(Fit(recipe, Places("halves"), {.resume = true}), IsOk());
  EXPECT_EQ(*core::ReadFile(root_ / "halves" / kSplit), *before);
  ExpectSame(*ReadSnapshot(root_ / "whole" / kFinal), root_ / "halves" / kFinal);
}

TEST_F(FitTest, RefusesToGoOnWithoutPicturesOrClassesThatTheRunBeganWith) {
  const v1::Recipe recipe = ShortRecipe();
  ASSERT_THAT(Fit(recipe, Places("work"), {.stop_after = 1}), IsOk());
  const auto file = root_ / "data" / "plain" / "red" / "3.jpg";
  std::filesystem::rename(file, root_ / "aside.jpg");
  for (const absl::Status& status :
       {Fit(recipe, Places("work"), {.resume = true}), LoadRun(Places("work")).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("are gone or changed: plain/red/3.jpg (1)")));
  }
  std::filesystem::rename(root_ / "aside.jpg", file);
  WritePicture(root_ / "data" / "leaf" / "wide" / "0.jpg", testing::DrawLeaf(64, 48, 77));
  std::filesystem::remove(root_ / "data" / "leaf.tsv");
  EXPECT_THAT(Fit(recipe, Places("work"), {.resume = true}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not there when the run began: leaf/wide (1)")));
}

TEST_F(FitTest, AClassWithoutATrainingPictureIsFoundBeforeAnythingIsTrained) {
  std::filesystem::create_directories(root_ / "data" / "plain" / "green");
  EXPECT_THAT(Fit(ShortRecipe(), Places("work"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("without a picture to train on: plain/green; add pictures")));
  EXPECT_FALSE(std::filesystem::exists(root_ / "work"));
}

TEST_F(FitTest, RefusesToGoOnWithAnotherStart) {
  const v1::Recipe recipe = ShortRecipe();
  v1::Recipe other = recipe;
  other.set_seed(6);
  ASSERT_THAT(Fit(recipe, Places("start"), {}), IsOk());
  ASSERT_THAT(Fit(other, Places("other"), {}), IsOk());
  ASSERT_THAT(Fit(recipe, Places("work"), {.start_from = root_ / "start", .stop_after = 1}),
              IsOk());
  EXPECT_THAT(Fit(recipe, Places("work"), {.resume = true, .start_from = root_ / "other"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is another network")));
  EXPECT_THAT(Fit(recipe, Places("work"), {.resume = true, .start_from = root_ / "start"}), IsOk());
}

TEST_F(FitTest, GoingOnInAFolderWithoutARunIsAMistake) {
  EXPECT_THAT(Fit(ShortRecipe(), Places("mistyped"), {.resume = true}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("holds no run to go on with")));
  EXPECT_FALSE(std::filesystem::exists(root_ / "mistyped"));
}

TEST_F(FitTest, RefusesToGoOnWithAnotherRecipe) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  ASSERT_THAT(Fit(recipe, Places("work"), {}), IsOk());
  recipe.set_seed(6);
  EXPECT_THAT(Fit(recipe, Places("work"), {.resume = true}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another recipe")));
}

}  // namespace
}  // namespace orchard::training
