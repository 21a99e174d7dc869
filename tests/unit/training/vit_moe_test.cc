// A whole run of a tiny ViT-MoE on a handful of drawn pictures: train, stop, go on, measure.
#include "absl/strings/str_split.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/digest.h"
#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/kept_log.h"
#include "tests/unit/training/tiny_vit.h"
#include "training/loop/checkpoint.h"
#include "training/measure/evaluate.h"
#include "training/measure/questions.h"
#include "training/measure/served.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/export.h"
#include "training/studies/vit_moe/fit.h"
#include "training/studies/vit_moe/measure.h"
#include "training/studies/vit_moe/model.h"
#include "training/studies/vit_moe/router_health.h"
#include "training/studies/vit_moe/run.h"
#include "training/studies/vit_moe/statements.h"

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
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

using VitMoeTest = TinyVitTest;

std::vector<nlohmann::json> Lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  const std::vector<std::string> texts = absl::StrSplit(text, '\n', absl::SkipEmpty());
  for (const std::string& line : texts) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// History without what a clock says.
std::vector<nlohmann::json> WithoutTimes(std::vector<nlohmann::json> lines) {
  for (nlohmann::json& line : lines) {
    line.erase("seconds");
    line.erase("pictures_per_second");
  }
  return lines;
}

TEST_F(VitMoeTest, BatchesMayBeMixed) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_mixing()->set_cutmix(0.5);
  recipe.mutable_mixing()->set_mixup(0.5);
  EXPECT_THAT(FitVitMoe(recipe, Places("mixed"), {}), IsOk());
}

TEST_F(VitMoeTest, OnOneThreadAStoppedRunGoesOnToTheSameBits) {
  const v1::Recipe recipe = TinyVitRecipe();
  ASSERT_THAT(FitVitMoe(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.stop_after = 1}), IsOk());
  EXPECT_FALSE(fs::exists(root_ / "pieces" / kFinal));
  EXPECT_THAT(FitVitMoe(recipe, Places("pieces"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--resume")));
  ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.resume = true, .stop_after = 2}), IsOk());
  ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.resume = true}), IsOk());
  for (const char* file : {kCheckpoint, kFinal, kBest, kSplit, kRecipe}) {
    EXPECT_EQ(Read(fs::path("whole") / file), Read(fs::path("pieces") / file)) << file;
  }
  const auto lines = Lines(Read(fs::path("pieces") / kHistory));
  EXPECT_EQ(WithoutTimes(lines), WithoutTimes(Lines(Read(fs::path("whole") / kHistory))));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[2]["epoch"], 3);
  for (const char* term : {"cross_entropy", "balance", "router_z"}) {
    EXPECT_TRUE(lines[0]["terms"].contains(term)) << term;
  }
  EXPECT_TRUE(lines[0]["measures"].contains("nll"));
  ASSERT_EQ(lines[0]["expert_load"].size(), 2U);  // Layers.
  EXPECT_EQ(lines[0]["expert_load"][0].size(), 4U);
}

TEST_F(VitMoeTest, ItsRunLogHasPicturesEpochsAndFiles) {
  const v1::Recipe recipe = TinyVitRecipe();
  KeptLog log;
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {.stop_after = 2, .log = &log}), IsOk());
  ASSERT_THAT(log.begun, SizeIs(1));
  const Fact train = {.topic = "data", .name = "train", .value = std::int64_t{18}};
  EXPECT_THAT(log.begun[0], Contains(train));  // Half of each class.
  ASSERT_THAT(log.epochs, SizeIs(2));
  EXPECT_EQ(log.epochs[1].phase, "epoch");
  EXPECT_EQ(log.epochs[1].epoch, 2U);
  EXPECT_TRUE(log.epochs[1].validated);
  EXPECT_THAT(log.epochs[1].measures, Contains(Key("nll")));
  EXPECT_THAT(log.epochs[1].expert_load, SizeIs(2));  // Layers.
  EXPECT_THAT(log.files, Contains(Pair(kBest, 1U)));
  EXPECT_THAT(log.files, Not(Contains(Key(kFinal))));
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {.resume = true, .log = &log}), IsOk());
  EXPECT_THAT(log.begun, SizeIs(2));
  ASSERT_THAT(log.epochs, SizeIs(3));
  EXPECT_EQ(log.epochs[2].epoch, 3U);
  EXPECT_THAT(log.files.back(), Pair(kFinal, 0U));
}

TEST_F(VitMoeTest, ATimeLimitStopsAfterAnEpochAndSaves) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_optimisation()->set_save_every(100);
  ASSERT_THAT(FitVitMoe(recipe, Places("whole"), {}), IsOk());
  size_t calls = 0;  // However slow the machine is, every call does one epoch.
  do {
    ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.resume = calls > 0, .time_limit = 1e-3}),
                IsOk());
    ++calls;
  } while (!fs::exists(root_ / "pieces" / kFinal) && calls < 5);
  EXPECT_EQ(calls, 3U);
  EXPECT_EQ(Read(fs::path("whole") / kFinal), Read(fs::path("pieces") / kFinal));
}

TEST_F(VitMoeTest, GoesOnOnlyWithThePicturesItBeganWith) {
  const v1::Recipe recipe = TinyVitRecipe();
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {.stop_after = 1}), IsOk());
  fs::remove(root_ / "data" / "plain" / "red" / "3.png");
  EXPECT_THAT(FitVitMoe(recipe, Places("work"), {.resume = true}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(kSplit)));
}

TEST_F(VitMoeTest, LearnsAndIsMeasured) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_optimisation()->set_epochs(30);
  recipe.mutable_optimisation()->set_validate_every(5);
  recipe.mutable_vit_moe()->set_dropout(0.0);
  recipe.mutable_vit_moe()->set_drop_path(0.0);
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {}), IsOk());
  ASSERT_THAT(MeasureVitMoe(Places("work"), {.split = "test"}), IsOk());
  const auto json = nlohmann::json::parse(Read("work/measure-test.json"));
  EXPECT_EQ(json["pictures"], 9);  // A quarter of each class.
  EXPECT_GE(json["hits"], 8);
  EXPECT_EQ(json["confusion"].size(), 3U);
  EXPECT_EQ(json["routers"].size(), 2U);
  EXPECT_EQ(json["routers"][0]["verdict"], "UNKNOWN");  // Nine pictures are no evidence.
  const std::string predictions = Read("work/predictions-test.tsv");
  const std::vector<std::string> lines = absl::StrSplit(predictions, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 10U);
  EXPECT_EQ(lines[0], "picture\tlabel\tanswer\tprobability\tlog_probability_of_label");
  EXPECT_THAT(MeasureVitMoe(Places("nowhere"), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
}

TEST_F(VitMoeTest, IsServedAsItWasMeasured) {
  const RunPlaces places = Places("run");
  ASSERT_THAT(FitVitMoe(TinyVitRecipe(), places, {}), IsOk());
  const fs::path model = root_ / "model";
  ASSERT_THAT(ExportVitMoe(places, {.out = model, .name = "toys", .version = "7"}), IsOk());

  const auto run = LoadVitMoeRun(places, kBest);
  ASSERT_THAT(run, IsOk());
  nets::Vit network = run->network;
  const std::vector<size_t> pictures = run->On(Side::kTest);
  const torch::Tensor views = *ServedViews(*run, pictures);
  const torch::Tensor direct =
      Ask(network, Standardise(PreprocessingOf(run->recipe), torch::kCPU), views)
          .log_probabilities.to(torch::kFloat64);

  const auto served = ServedModel::Load(model, /*threads=*/1, model::EncoderPrecision::kAuto);
  ASSERT_THAT(served, IsOk());
  const double temperature = (*served)->manifest().experts(0).temperature();
  std::vector<fs::path> files;
  for (const size_t i : pictures) files.push_back(places.data / run->set.names[i]);
  const auto answers = (*served)->Classify(QuestionsOf(files), std::vector<router::Options>(1));
  ASSERT_THAT(answers, IsOk());
  for (size_t i = 0; i < pictures.size(); ++i) {
    const torch::Tensor wanted =
        (direct[static_cast<int64_t>(i)] / temperature).softmax(0).contiguous();
    for (const moe::ClassProbability& answer : (*answers)[i].classes) {
      EXPECT_NEAR(answer.probability, wanted[static_cast<int64_t>(answer.label)].item<double>(),
                  1e-5);
    }
  }

  EXPECT_EQ((*served)->manifest().experts(0).file().sha256(),
            core::Sha256Hex(Read(fs::path("run") / kBest)));
  EXPECT_THAT(Read("model/PROVENANCE.md"),
              AllOf(HasSubstr("# toys/7"), HasSubstr("| plain | sound | vit_moe | 3 |")));
  EXPECT_THAT(ExportVitMoe(places, {.out = model}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
}

TEST_F(VitMoeTest, ExportWantsPicturesToCalibrateOn) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_data()->set_validation_share(0.0);
  ASSERT_THAT(FitVitMoe(recipe, Places("run"), {}), IsOk());
  fs::copy_file(root_ / "run" / kFinal, root_ / "run" / kBest,
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(ExportVitMoe(Places("run"), {.out = root_ / "model"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("validation_share")));
  EXPECT_FALSE(fs::exists(root_ / "model"));
}

TEST_F(VitMoeTest, ExportRefusesARouterThatReadsTheBatch) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_vit_moe()->mutable_network()->mutable_router()->set_kind(
      orchard::v1::TokenRouter::V_MOE_BPR);
  ASSERT_THAT(FitVitMoe(recipe, Places("run"), {}), IsOk());
  EXPECT_THAT(ExportVitMoe(Places("run"), {.out = root_ / "model"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("can't be served")));
}

/// Pictures in CIFAR-10's published form: noise, brighter in one colour by class.
std::string Records(size_t count, std::uint64_t seed) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    const size_t label = i % 10;
    bytes.push_back(static_cast<char>(label));
    for (size_t value = 0; value < 3072; ++value) {
      const size_t base = value / 1024 == label % 3 ? 60 + 15 * label : 20;
      bytes.push_back(static_cast<char>(base + Mix(seed, i, value) % 32));
    }
  }
  return bytes;
}

TEST_F(VitMoeTest, EvalReadsTheSourceThatTheRecipeNames) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_domains(0)->mutable_cifar10()->set_folder("cifar");
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "data_batch_" + std::to_string(i) + ".bin";
    fs::create_directories(root_ / "data" / "cifar");
    ASSERT_THAT(core::WriteFile(root_ / "data" / "cifar" / name,
                                Records(40, static_cast<std::uint64_t>(i))),
                IsOk());
  }
  ASSERT_THAT(core::WriteFile(root_ / "data" / "cifar" / "test_batch.bin", Records(30, 9)), IsOk());
  ASSERT_THAT(core::WriteFile(root_ / "data" / "cifar" / "batches.meta.txt",
                              "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\n"
                              "truck\n"),
              IsOk());
  const RunPlaces places = Places("run");
  ASSERT_THAT(FitVitMoe(recipe, places, {}), IsOk());
  ASSERT_THAT(ExportVitMoe(places, {.out = root_ / "model"}), IsOk());
  EXPECT_FALSE(fs::exists(root_ / "model/evaluation" / kSplit));  // The source has its own sides.

  ASSERT_THAT(MeasureVitMoe(places, {.split = "test", .judge_routers = false}), IsOk());
  const nlohmann::json measured = nlohmann::json::parse(Read("run/measure-test.json"));
  const auto report =
      EvaluateModel({.model = root_ / "model", .data = places.data, .split = "test", .threads = 1});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->domains[0].routed.total, measured["pictures"].get<size_t>());
  EXPECT_EQ(report->domains[0].routed.hits, measured["hits"].get<size_t>());
  EXPECT_EQ(report->domains[0].oracle.hits, report->domains[0].routed.hits);
  EXPECT_FALSE(measured.contains("routers"));
}

TEST_F(VitMoeTest, BeginsWithNoOthersNetwork) {
  EXPECT_THAT(FitVitMoe(TinyVitRecipe(), Places("work"), {.start_from = root_ / "other"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--start-from")));
  EXPECT_FALSE(fs::exists(root_ / "work"));
}

TEST(VitMoeFaultsTest, AllComeAtOnce) {
  EXPECT_THAT(Faults(TinyVitRecipe()), IsEmpty());
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_vit_moe()->set_label_smoothing(1.5);
  recipe.mutable_vit_moe()->set_drop_path(2.0);
  recipe.mutable_vit_moe()->mutable_network()->set_heads(5);
  recipe.mutable_vit_moe()->mutable_router_losses()->set_z(-1.0);
  recipe.mutable_preprocessing()->set_crop(12);
  recipe.mutable_optimisation()->set_head_rate(0.0);
  recipe.mutable_optimisation()->set_epochs(0);
  EXPECT_THAT(
      Faults(recipe),
      AllOf(Contains(HasSubstr("vit_moe.label_smoothing is 1.5")),
            Contains(HasSubstr("vit_moe: drop_path is 2, must be from 0 to 0.9")),
            Contains(HasSubstr("vit_moe: heads is 5, must be a divisor of the width 16")),
            Contains(HasSubstr("vit_moe.router_losses.z is -1")),
            Contains(HasSubstr("preprocessing.shorter_side is 16, must be crop 12")),
            Contains(HasSubstr("preprocessing.crop is 12, must be vit_moe.network.side 16")),
            Contains(HasSubstr("optimisation.head_rate is 0, must be above 0")),
            Contains(HasSubstr("optimisation.epochs is 0, must be at least 1"))));
  recipe = TinyVitRecipe();
  recipe.mutable_vit_moe()->mutable_network()->set_experts(0);
  *recipe.add_domains() = recipe.domains(0);
  recipe.mutable_domains(1)->set_name("second");
  EXPECT_THAT(Faults(recipe), AllOf(Contains(HasSubstr("there are 2, study vit_moe trains")),
                                    Contains(HasSubstr("vit_moe.experts is 0, must be in"))));
}

TEST(VitMoeModelTest, DecaysMatricesAloneUnlessAllAreAsked) {
  v1::Recipe recipe = TinyVitRecipe();
  const auto decays = [&] {
    nets::Vit network(VitOptionsOf(recipe, 3));
    VitMoeModel model(network, recipe);
    std::map<std::string, bool> by_name;
    for (const TrainedParameter& parameter : model.Parameters()) {
      by_name[parameter.name] = parameter.decays;
    }
    return by_name;
  };
  auto of = decays();
  EXPECT_TRUE(of.at("blocks.0.mlp.experts.1.fc1.weight"));
  EXPECT_TRUE(of.at("head.weight"));
  for (const char* name : {"cls_token", "pos_embed", "norm.weight", "head.bias"}) {
    EXPECT_FALSE(of.at(name)) << name;
  }
  recipe.mutable_vit_moe()->set_decays_all(true);
  of = decays();
  for (const auto& [name, decayed] : of) EXPECT_TRUE(decayed) << name;
}

// models.md section 4.3: copies are redundant by distance, and giving tokens another's experts
// costs nothing then.
TEST(JudgeRoutersTest, CopiedExpertsAreFoundByDistanceAndShuffle) {
  torch::manual_seed(2);
  nets::Vit network(VitOptionsOf(TinyVitRecipe(), 3));
  const Standardise standardise(TinyVitRecipe().preprocessing(), torch::kCPU);
  const torch::Tensor pixels = torch::randint(0, 256, {40, 16, 16, 3}, torch::kUInt8);
  std::vector<size_t> labels(40);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = i % 3;
  const auto judge = [&] {
    const VitAnswers answers = Ask(network, standardise, pixels);
    return JudgeRouters(network, standardise, pixels, labels, 3, answers, {.permutations = 20});
  };
  const auto distinct = judge();
  ASSERT_EQ(distinct.size(), 2U);
  EXPECT_GT(distinct[0].median_distance, 0.5);
  {
    const torch::NoGradGuard guard;
    for (auto& entry : network->named_parameters()) {
      const auto at = entry.key().find("blocks.0.mlp.experts.");
      if (at != 0) continue;
      std::string first = entry.key();
      first[std::string("blocks.0.mlp.experts.").size()] = '0';
      entry.value().copy_(*network->named_parameters().find(first));
    }
  }
  const torch::Tensor before = Ask(network, standardise, pixels).log_probabilities;
  const auto copied = judge();
  EXPECT_LT(copied[0].median_distance, 1e-6);
  EXPECT_EQ(copied[0].shuffle.accuracy_lost, 0.0);
  EXPECT_EQ(copied[0].shuffle.p_value, 1.0);
  EXPECT_GT(copied[1].median_distance, 0.5);
  // The probes are gone.
  EXPECT_TRUE(torch::equal(Ask(network, standardise, pixels).log_probabilities, before));
}

}  // namespace
}  // namespace orchard::training
