// Whole runs of the networks of the fruit study on a handful of drawn pictures.
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "model/safetensors.h"
#include "model/torch_state.h"
#include "nets/backbones/vgg16.h"
#include "tests/e2e/finished.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/recipe.h"
#include "training/report/arms.h"
#include "training/studies/fruit_nets/answers.h"
#include "training/studies/fruit_nets/fit.h"
#include "training/studies/fruit_nets/measure.h"
#include "training/studies/fruit_nets/model.h"
#include "training/studies/fruit_nets/run.h"
#include "training/studies/fruit_nets/statements.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kPictures = 10;  ///< a class
constexpr size_t kSide = 32;

v1::Recipe TinyRecipe() {
  v1::Recipe recipe;
  recipe.set_name("tiny");
  recipe.set_seed(3);
  v1::Domain& domain = *recipe.add_domains();
  domain.set_name("fruit");
  domain.set_branch("sound");
  recipe.mutable_data()->set_validation_share(0.25);
  orchard::v1::Preprocessing& p = *recipe.mutable_preprocessing();
  p.set_profile("tiny32");
  p.set_shorter_side(kSide);
  p.set_crop(kSide);
  p.set_framing(orchard::v1::WHOLE_PICTURE);
  for (int c = 0; c < 3; ++c) {
    p.add_mean(0.5F);
    p.add_std(0.25F);
  }
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(3);
  o.set_batch(8);
  o.set_head_rate(1e-3);
  o.set_weight_decay(0.01);
  o.set_average_decay(0.5);
  v1::FruitNets& study = *recipe.mutable_fruit_nets();
  study.set_same_padding(true);
  study.set_attention(v1::FruitNets::SE_END);
  return recipe;
}

/// VGG16's convolutions, frozen.
v1::Recipe FrozenRecipe() {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);  // Each writes a large file.
  v1::FruitNets& study = *recipe.mutable_fruit_nets();
  study.set_trunk(v1::FruitNets::VGG16);
  study.set_same_padding(false);
  study.set_pretrained(true);
  study.set_frozen_trunk(true);
  return recipe;
}

class FruitNetsTest : public ::testing::Test {
 protected:
  FruitNetsTest() {
    std::string list = "class\tid\tgroup\n";  // Two pictures a group.
    for (size_t i = 0; i < kPictures; ++i) {
      const auto shade = static_cast<std::uint8_t>(130 + 10 * i);
      WritePng("apple", i, testing::DrawPlain(kSide, kSide, shade, 20, 20));
      WritePng("plum", i, testing::DrawPlain(kSide, kSide, 20, 20, shade));
      WritePng("peas", i, testing::DrawPlain(kSide, kSide, 20, shade, 20));
      for (const std::string label : {"apple", "plum", "peas"}) {
        list += label + "\t" + std::to_string(i) + "\t" + label + std::to_string(i / 2) + "\n";
      }
    }
    core::WriteFile(root_ / "data" / "fruit.tsv", list).IgnoreError();
  }

  void WritePng(const std::string& label, size_t number, const vision::Image& image) {
    const fs::path file = root_ / "data" / "fruit" / label / (std::to_string(number) + ".png");
    fs::create_directories(file.parent_path());
    core::WriteFile(file, testing::EncodePng(image)).IgnoreError();
  }

  /// Random convolutions under the names that published ones have.
  void WriteVgg16() {
    torch::manual_seed(9);
    const nets::Vgg16 trunk;
    fs::create_directories(root_ / "weights");
    core::WriteFile(root_ / "weights" / "vgg16_features.f16.safetensors",
                    model::SerialiseSafetensors(model::StateOf(trunk, "", model::Precision::kHalf)))
        .IgnoreError();
  }

  RunPlaces Places(const std::string& work, bool weights = false) const {
    return {.data = root_ / "data",
            .weights = weights ? root_ / "weights" : fs::path(),
            .work = root_ / work,
            .threads = 1};
  }

  std::string Read(const fs::path& file) const {
    const auto text = core::ReadFile(root_ / file);
    EXPECT_THAT(text, IsOk());
    return text.value_or("");
  }

  nlohmann::json Measured(const std::string& work, const std::string& split = "test") {
    EXPECT_THAT(MeasureFruitNets(Places(work), {.split = split}), IsOk());
    return nlohmann::json::parse(Read(fs::path(work) / ("measure-" + split + ".json")));
  }

  testing::TempDir root_;
};

TEST_F(FruitNetsTest, LearnsAndIsMeasuredOnTheFoldThatItNeverSaw) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(12);
  recipe.mutable_fruit_nets()->set_fold(2);
  ASSERT_THAT(FitFruitNets(recipe, Places("run"), {}), IsOk());
  const nlohmann::json json = Measured("run");
  EXPECT_EQ(json["pictures"], 6);  // A group of two of each class.
  EXPECT_GT(json["accuracy"], 0.8);
  EXPECT_EQ(json["fold"], 2);
  EXPECT_EQ(json["folds"], 5);
  EXPECT_EQ(json["raw_split"], false);
  EXPECT_EQ(json["classes"].size(), 3U);
  EXPECT_EQ(json["classes"][0]["pictures"], 2);
  // Convolutions 93,248, gate 4,240, 4 · 4 · 128 to 128 to 3.
  EXPECT_EQ(json["parameters"], 93'248 + 4'240 + (2048 * 128 + 128) + (128 * 3 + 3));
  EXPECT_GT(json["multiply_adds"], 1'000'000);
  EXPECT_THAT(MeasureFruitNets(Places("run"), {.split = "all"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"all\" is not one of")));
}

TEST_F(FruitNetsTest, OnOneThreadAStoppedRunGoesOnToTheSameBits) {
  const v1::Recipe recipe = TinyRecipe();
  ASSERT_THAT(FitFruitNets(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(FitFruitNets(recipe, Places("pieces"), {.stop_after = 1}), IsOk());
  EXPECT_FALSE(fs::exists(root_ / "pieces" / kFinal));
  EXPECT_THAT(FitFruitNets(recipe, Places("pieces"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--resume")));
  ASSERT_THAT(FitFruitNets(recipe, Places("pieces"), {.resume = true}), IsOk());
  for (const char* file : {kCheckpoint, kFinal, kBest, kSplit, kRecipe}) {
    EXPECT_EQ(Read(fs::path("whole") / file), Read(fs::path("pieces") / file)) << file;
  }
}

TEST_F(FruitNetsTest, FoldsOfOneSeedMakeAnArmThatAnswersEveryPictureOnce) {
  std::vector<RunAnswers> runs;
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  for (std::uint32_t fold = 0; fold < 5; ++fold) {
    recipe.mutable_fruit_nets()->set_fold(fold);
    const std::string work = "fold" + std::to_string(fold);
    ASSERT_THAT(FitFruitNets(recipe, Places(work), {}), IsOk());
    Measured(work);
    const auto run = ReadRunAnswers(root_ / work, "test");
    ASSERT_THAT(run, IsOk());
    runs.push_back(*run);
  }
  const auto arms = GatherArms(runs);
  ASSERT_THAT(arms, IsOk());
  EXPECT_EQ(arms->fold.size(), 3 * kPictures);
  EXPECT_EQ(arms->arms[0].name, "tiny");

  std::vector<std::string> command = {testing::BinaryPath("orchard-train"), "compare"};
  for (const RunAnswers& run : runs) command.push_back(run.work);
  const testing::Finished text = testing::RunToTheEnd(command);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("30 pictures, 1 seeds"));
  command.emplace_back("--json");
  const testing::Finished json = testing::RunToTheEnd(command);
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(nlohmann::json::parse(json.out)["networks"][0]["name"], "tiny");
  EXPECT_THAT(ReadRunAnswers(root_ / "fold0", "validation"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("predictions-validation.tsv")));
}

TEST_F(FruitNetsTest, AFrozenTrunkStaysAsItWas) {
  const v1::Recipe recipe = FrozenRecipe();
  EXPECT_THAT(FitFruitNets(recipe, Places("run"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--weights")));
  EXPECT_THAT(FitFruitNets(recipe, Places("run", /*weights=*/true), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("vgg16_features")));
  EXPECT_FALSE(fs::exists(root_ / "run"));
  WriteVgg16();
  ASSERT_THAT(FitFruitNets(recipe, Places("run", /*weights=*/true), {}), IsOk());
  const auto before = model::ReadSafetensors(root_ / "weights/vgg16_features.f16.safetensors");
  const auto after = model::ReadSafetensors(root_ / "run" / kBest);
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(after, IsOk());
  for (const auto& [name, tensor] : *before) {
    EXPECT_EQ(after->at("trunk." + name).bytes, tensor.bytes) << name;
  }
  // The file has it all: no weights are needed any more.
  EXPECT_EQ(Measured("run")["pictures"], 6);
}

TEST_F(FruitNetsTest, WhatATrunkIsKeptForIsWhatTheWholeNetworkAnswers) {
  WriteVgg16();
  v1::Recipe recipe = FrozenRecipe();
  const auto run = PrepareFruitNetsRun(recipe, Places("run", /*weights=*/true), /*go_on=*/false,
                                       FruitWeights::kAsTheRecipeSays);
  ASSERT_THAT(run, IsOk());
  const torch::Tensor views = *ServedViews(*run, {0, 7, 14});
  FruitNetInput by_maps(run->network, recipe);
  const torch::Tensor maps = by_maps.Read(views, /*batch=*/2);
  EXPECT_EQ(maps.sizes(), (std::vector<int64_t>{3, 512, 1, 1}));
  recipe.mutable_fruit_nets()->set_frozen_trunk(false);
  FruitNetInput whole(run->network, recipe);
  EXPECT_TRUE(
      torch::allclose(by_maps.LogProbabilities(maps), whole.LogProbabilities(views), 1e-4, 1e-4));
}

TEST_F(FruitNetsTest, APretrainedTrunkLearnsAtARateOfItsOwn) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_fruit_nets()->set_trunk(v1::FruitNets::VGG16);
  recipe.mutable_fruit_nets()->set_pretrained(true);
  recipe.mutable_fruit_nets()->set_same_padding(false);
  recipe.mutable_optimisation()->set_encoder_rate(1e-5);
  const auto rates = [&] {
    FruitNetModel model(nets::FruitNet(FruitNetOptionsOf(recipe, 3)), recipe);
    std::map<std::string, double> by_name;
    for (const TrainedParameter& one : model.Parameters()) by_name[one.name] = one.rate;
    return by_name;
  };
  EXPECT_EQ(rates().at("trunk.features.28.bias"), 1e-5);
  EXPECT_EQ(rates().at("attention.0.fc1.weight"), 1e-3);
  recipe.mutable_fruit_nets()->set_frozen_trunk(true);
  EXPECT_FALSE(rates().contains("trunk.features.28.bias"));
  EXPECT_EQ(rates().at("head.weight"), 1e-3);
}

TEST_F(FruitNetsTest, TellsFruitFromVegetablesByOneLogit) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_epochs(12);
  recipe.mutable_fruit_nets()->add_fruits("apple");
  recipe.mutable_fruit_nets()->add_fruits("plum");
  ASSERT_THAT(FitFruitNets(recipe, Places("run"), {}), IsOk());
  const nlohmann::json json = Measured("run");
  EXPECT_GT(json["accuracy"], 0.8);
  ASSERT_EQ(json["classes"].size(), 2U);
  EXPECT_EQ(json["classes"][0]["name"], "fruit");
  EXPECT_EQ(json["classes"][0]["pictures"], 4);
  EXPECT_EQ(json["classes"][1]["pictures"], 2);
  const auto saved = model::ReadSafetensors(root_ / "run" / kBest);
  ASSERT_THAT(saved, IsOk());
  EXPECT_THAT(saved->at("head.bias").shape, ElementsAre(1));

  recipe.mutable_fruit_nets()->add_fruits("pear");
  EXPECT_THAT(FitFruitNets(recipe, Places("other"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no such class: pear"), HasSubstr("apple, peas, plum"))));
  recipe.mutable_fruit_nets()->set_fruits(2, "peas");
  EXPECT_THAT(FitFruitNets(recipe, Places("other"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("names all classes")));
}

TEST_F(FruitNetsTest, BeginsWithNoOthersNetwork) {
  EXPECT_THAT(FitFruitNets(TinyRecipe(), Places("work"), {.start_from = root_ / "other"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--start-from")));
  EXPECT_FALSE(fs::exists(root_ / "work"));
}

TEST(FruitNetsFaultsTest, AllComeAtOnce) {
  EXPECT_THAT(Faults(TinyRecipe()), IsEmpty());
  EXPECT_THAT(Faults(FrozenRecipe()), IsEmpty());
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_fruit_nets()->set_trunk(v1::FruitNets::RESNET18);
  recipe.mutable_fruit_nets()->set_pretrained(true);
  recipe.mutable_fruit_nets()->set_dropout(1.0);
  recipe.mutable_fruit_nets()->set_folds(4);
  recipe.mutable_fruit_nets()->set_fold(4);
  recipe.mutable_fruit_nets()->set_label_smoothing(-0.5);
  recipe.mutable_fruit_nets()->add_fruits("apple");
  recipe.mutable_fruit_nets()->add_fruits("apple");
  recipe.mutable_data()->set_test_share(0.2);
  recipe.mutable_optimisation()->set_head_rate(0.0);
  recipe.mutable_optimisation()->set_epochs(0);
  recipe.mutable_optimisation()->add_sides(64);
  EXPECT_THAT(
      Faults(recipe),
      AllOf(Contains(HasSubstr("fruit_nets: dropout is 1, must be from 0 to 0.9")),
            Contains(HasSubstr("fruit_nets: same_padding is of simple_cnn, not of resnet18")),
            Contains(HasSubstr("fruit_nets.pretrained: only VGG16")),
            Contains(HasSubstr("optimisation.encoder_rate is 0, must be above 0")),
            Contains(HasSubstr("fruit_nets.fold is 4, must be below 4")),
            Contains(HasSubstr("fruit_nets.label_smoothing is -0.5")),
            Contains(HasSubstr("\"apple\" is there twice")),
            Contains(HasSubstr("data.test_share is 0.2, must be 0")),
            Contains(HasSubstr("optimisation.sides has 64")),
            Contains(HasSubstr("optimisation.head_rate is 0, must be above 0")),
            Contains(HasSubstr("optimisation.epochs is 0, must be at least 1"))));
}

TEST(FruitNetsFaultsTest, OfNumbersThatAreNoneAndOfOtherSources) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_fruit_nets()->set_trunk(static_cast<v1::FruitNets::Trunk>(9));
  recipe.mutable_fruit_nets()->set_attention(static_cast<v1::FruitNets::Attention>(9));
  recipe.mutable_fruit_nets()->set_folds(1);
  recipe.mutable_domains(0)->mutable_cifar10();
  *recipe.add_domains() = recipe.domains(0);
  recipe.mutable_domains(1)->set_name("second");
  EXPECT_THAT(Faults(recipe),
              AllOf(Contains(HasSubstr("fruit_nets.trunk is 9")),
                    Contains(HasSubstr("fruit_nets.attention is 9")),
                    Contains(HasSubstr("fruit_nets.folds is 1, must be in [2, 20]")),
                    Contains(HasSubstr("has a test side of its own")),
                    Contains(HasSubstr("there are 2, study fruit_nets trains"))));
}

TEST(FruitNetsFaultsTest, AFrozenTrunkTakesNoViewsAndNoAttentionInside) {
  v1::Recipe recipe = FrozenRecipe();
  recipe.mutable_augmentation()->set_horizontal_flip(0.5);
  recipe.mutable_fruit_nets()->set_attention(v1::FruitNets::CBAM_STAGES);
  EXPECT_THAT(Faults(recipe), AllOf(Contains(HasSubstr("augmentation and mixing must be absent")),
                                    Contains(HasSubstr("attention between stages"))));
  recipe = FrozenRecipe();
  recipe.mutable_fruit_nets()->set_pretrained(false);
  EXPECT_THAT(Faults(recipe), ElementsAre(HasSubstr("frozen_trunk needs pretrained")));
}

}  // namespace
}  // namespace orchard::training
