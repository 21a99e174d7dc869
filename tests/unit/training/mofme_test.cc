// The MoFME experiment on a handful of drawn pictures: modulated experts and routers that say how
// sure they are, trained and measured under rendered weather.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_vit.h"
#include "training/measure/questions.h"
#include "training/measure/served.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/error_signals.h"
#include "training/studies/vit_moe/export.h"
#include "training/studies/vit_moe/fit.h"
#include "training/studies/vit_moe/measure.h"
#include "training/studies/vit_moe/model.h"
#include "training/studies/vit_moe/run.h"
#include "training/studies/vit_moe/statements.h"
#include "training/studies/vit_moe/weather.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::IsOk;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using wire = orchard::v1::VitMoe;
using Router = orchard::v1::TokenRouter;

using MofmeTest = TinyVitTest;

/// Modulated experts, a router that divides by its passes' spread, weather before half the views.
v1::Recipe TinyMofmeRecipe() {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_augmentation()->set_weather(0.5);
  wire& network = *recipe.mutable_vit_moe()->mutable_network();
  network.set_layer(wire::MODULATED);
  network.mutable_router()->set_kind(Router::UNCERTAIN);
  network.mutable_router()->set_uncertainty(Router::INV_STD);
  network.mutable_router()->set_bias(true);
  return recipe;
}

std::vector<std::string> LinesOf(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

TEST_F(MofmeTest, TwentyStepsUnderWeatherLearnAndAreMeasured) {
  v1::Recipe recipe = TinyMofmeRecipe();
  recipe.mutable_optimisation()->set_epochs(5);  // Of four steps.
  recipe.mutable_optimisation()->set_batch(16);
  recipe.mutable_data()->set_epoch_pictures(64);
  recipe.mutable_optimisation()->set_head_rate(1e-2);
  recipe.mutable_vit_moe()->set_dropout(0.0);
  recipe.mutable_vit_moe()->set_drop_path(0.0);
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {}), IsOk());
  const std::vector<std::string> epochs = LinesOf(Read("work/history.jsonl"));
  ASSERT_THAT(epochs, SizeIs(5));
  const auto loss = [&](size_t epoch) -> double {
    return nlohmann::json::parse(epochs[epoch])["terms"]["cross_entropy"];
  };
  EXPECT_LT(loss(4), 0.9 * loss(0));

  ASSERT_THAT(MeasureVitMoe(Places("work"), {.split = "test"}), IsOk());
  const auto json = nlohmann::json::parse(Read("work/measure-test.json"));
  EXPECT_EQ(json["pictures"], 9);
  EXPECT_GT(json["error_signals"]["mean_uncertainty"], 0.0);
  const auto& conditions = json["weather"]["conditions"];
  ASSERT_EQ(conditions.size(), 10U);  // Clean, and three weathers at three severities.
  EXPECT_EQ(conditions[0]["weather"], "clean");
  EXPECT_EQ(conditions[0]["hits"], json["hits"]);
  std::set<std::pair<std::string, int>> kinds;
  for (const auto& condition : conditions) {
    kinds.emplace(condition["weather"].get<std::string>(), condition["severity"].get<int>());
    EXPECT_EQ(condition["pictures"], 9);
    EXPECT_TRUE(condition.contains("calibration_error"));
    EXPECT_TRUE(condition["error_signals"].contains("uncertainty_auroc"));
  }
  EXPECT_THAT(kinds, SizeIs(10));
  ASSERT_EQ(json["weather"]["weather_information"].size(), 2U);  // Layers.
  EXPECT_EQ(json["routers"].size(), 2U);
  const std::vector<std::string> lines = LinesOf(Read("work/weather-test.tsv"));
  ASSERT_THAT(lines, SizeIs(1 + 10 * 9));
  EXPECT_EQ(lines[0], "picture\tweather\tseverity\tlabel\tanswer\tprobability\tuncertainty");
}

TEST_F(MofmeTest, OnOneThreadAStoppedRunGoesOnToTheSameBits) {
  const v1::Recipe recipe = TinyMofmeRecipe();
  ASSERT_THAT(FitVitMoe(recipe, Places("whole"), {}), IsOk());
  ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.stop_after = 1}), IsOk());
  ASSERT_THAT(FitVitMoe(recipe, Places("pieces"), {.resume = true}), IsOk());
  for (const char* file : {kCheckpoint, kFinal, kBest}) {
    EXPECT_EQ(Read(fs::path("whole") / file), Read(fs::path("pieces") / file)) << file;
  }
}

TEST_F(MofmeTest, WithoutWeatherAndPassesNeitherIsMeasured) {
  v1::Recipe recipe = TinyVitRecipe();
  recipe.mutable_optimisation()->set_epochs(1);
  ASSERT_THAT(FitVitMoe(recipe, Places("work"), {}), IsOk());
  ASSERT_THAT(MeasureVitMoe(Places("work"), {.split = "test"}), IsOk());
  const auto json = nlohmann::json::parse(Read("work/measure-test.json"));
  EXPECT_FALSE(json.contains("weather"));
  EXPECT_TRUE(json["error_signals"]["uncertainty_auroc"].is_null());
  EXPECT_TRUE(json["error_signals"]["mean_uncertainty"].is_null());
  EXPECT_FALSE(fs::exists(root_ / "work" / "weather-test.tsv"));
}

// The masks of the passes are part of the file, so that a server's routers decide as they did here.
TEST_F(MofmeTest, IsServedAsItWasMeasured) {
  const RunPlaces places = Places("run");
  ASSERT_THAT(FitVitMoe(TinyMofmeRecipe(), places, {}), IsOk());
  ASSERT_THAT(ExportVitMoe(places, {.out = root_ / "model", .name = "weather"}), IsOk());
  const auto run = LoadVitMoeRun(places, kBest);
  ASSERT_THAT(run, IsOk());
  nets::Vit network = run->network;
  const std::vector<size_t> pictures = run->On(Side::kTest);
  const torch::Tensor direct = Ask(network, Standardise(PreprocessingOf(run->recipe), torch::kCPU),
                                   *ServedViews(*run, pictures))
                                   .log_probabilities.to(torch::kFloat64);
  const auto served = ServedModel::Load(root_ / "model", 1, model::EncoderPrecision::kAuto);
  ASSERT_THAT(served, IsOk());
  std::vector<fs::path> files;
  for (const size_t i : pictures) files.push_back(places.data / run->set.names[i]);
  const auto answers = (*served)->Classify(QuestionsOf(files), std::vector<router::Options>(1));
  ASSERT_THAT(answers, IsOk());
  const double temperature = (*served)->manifest().experts(0).temperature();
  for (size_t i = 0; i < pictures.size(); ++i) {
    const torch::Tensor wanted =
        (direct[static_cast<int64_t>(i)] / temperature).softmax(0).contiguous();
    for (const moe::ClassProbability& answer : (*answers)[i].classes) {
      EXPECT_NEAR(answer.probability, wanted[static_cast<int64_t>(answer.label)].item<double>(),
                  1e-5);
    }
  }
}

/// Every way to fill the layers of the experiment, at its own size.
TEST(MofmeNetworkTest, EveryModulationLearnsUnderEveryUseOfThePasses) {
  v1::Recipe recipe = TinyMofmeRecipe();
  recipe.mutable_preprocessing()->set_shorter_side(32);
  recipe.mutable_preprocessing()->set_crop(32);
  wire& network = *recipe.mutable_vit_moe()->mutable_network();
  network.set_side(32);
  network.set_width(96);
  network.set_layers(3);
  network.set_heads(6);
  network.set_hidden(192);
  network.set_stem(true);
  torch::manual_seed(1);
  Batch batch{.pixels = torch::randint(0, 256, {2, 32, 32, 3}, torch::kUInt8),
              .labels = {{.label = 1}, {.label = 7}}};
  const auto learns = [&](const std::string& what) {
    SCOPED_TRACE(what);
    EXPECT_THAT(VitMoeFaults(recipe), IsEmpty());
    const auto vit = nets::MakeVit(VitOptionsOf(recipe, 43));
    ASSERT_THAT(vit, IsOk());
    VitMoeModel model(*vit, recipe);
    model.TrainMode();
    const auto terms = model.Loss(batch);
    ASSERT_THAT(terms, IsOk());
    terms->Total().backward();
    model.FinishBackward();
    double largest = 0.0;
    for (const auto& parameter : (*vit)->named_parameters()) {
      if (parameter.key().find(".router.") == std::string::npos) continue;
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
      const double size = parameter.value().grad().abs().max().item<double>();
      EXPECT_TRUE(std::isfinite(size)) << parameter.key();
      largest = std::max(largest, size);
    }
    EXPECT_GT(largest, 0.0);  // The choice learns.
  };
  for (int use = 0; use < Router::Uncertainty_ARRAYSIZE; ++use) {
    const auto uncertainty = static_cast<Router::Uncertainty>(use);
    network.mutable_router()->set_uncertainty(uncertainty);
    const std::string passes = Router::Uncertainty_Name(uncertainty);
    network.set_layer(wire::EXPERTS);
    learns("EXPERTS, " + passes);
    network.set_layer(wire::MODULATED);
    for (int kind = 0; kind < orchard::v1::Modulation::Kind_ARRAYSIZE; ++kind) {
      const auto modulation = static_cast<orchard::v1::Modulation::Kind>(kind);
      network.mutable_modulation()->set_kind(modulation);
      learns(orchard::v1::Modulation::Kind_Name(modulation) + ", " + passes);
    }
  }
}

TEST(MofmeFaultsTest, AllComeAtOnce) {
  EXPECT_THAT(Faults(TinyMofmeRecipe()), IsEmpty());
  v1::Recipe recipe = TinyMofmeRecipe();
  recipe.mutable_augmentation()->set_weather(1.5);
  wire& network = *recipe.mutable_vit_moe()->mutable_network();
  network.mutable_router()->set_passes(1);
  network.mutable_router()->set_pass_dropout(0.95);
  EXPECT_THAT(Faults(recipe), AllOf(Contains(HasSubstr("augmentation.weather is 1.5")),
                                    Contains(HasSubstr("router.passes is 1, must be in [2, 64]")),
                                    Contains(HasSubstr("router.pass_dropout is 0.95"))));
  recipe = TinyMofmeRecipe();
  wire& other = *recipe.mutable_vit_moe()->mutable_network();
  other.mutable_modulation()->set_kind(orchard::v1::Modulation::LOW_RANK);
  other.mutable_modulation()->set_rank(17);
  other.set_top_k(5);
  EXPECT_THAT(Faults(recipe),
              AllOf(Contains(HasSubstr("fme rank is 17")), Contains(HasSubstr("top_k is 5"))));
}

TEST(MofmeRecipeTest, WhatItSaysMayBeSetMakesANetwork) {
  const char* const source = std::getenv("ORCHARD_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "run by ctest";
  const fs::path file = fs::path(source) / "training/recipes/mofme_gtsrb_weather.textproto";
  for (const char* set :
       {"vit_moe.network.layer=EXPERTS", "vit_moe.network.layer=DENSE",
        "vit_moe.network.modulation.kind=COND", "vit_moe.network.modulation.kind=LOW_RANK",
        "vit_moe.network.router.uncertainty=OFF", "vit_moe.network.router.uncertainty=WHITEN",
        "vit_moe.network.experts=16"}) {
    const auto recipe = ReadRecipe(file, {set});
    ASSERT_THAT(recipe, IsOk()) << set;
    EXPECT_TRUE(TrainsUnderWeather(*recipe));
    EXPECT_THAT(nets::MakeVit(VitOptionsOf(*recipe, 43)), IsOk()) << set;
  }
}

TEST(RenderedTest, DependsOnContentWeatherAndSeverityAlone) {
  torch::manual_seed(4);
  const torch::Tensor pixels = torch::randint(0, 256, {2, 16, 16, 3}, torch::kUInt8);
  const torch::Tensor before = pixels.clone();
  const std::vector<std::string> contents = {"00112233445566778899", "ffeeddccbbaa99887766"};
  const auto rain = Rendered(pixels, contents, vision::Weather::kRain, 2);
  EXPECT_TRUE(torch::equal(pixels, before));
  EXPECT_FALSE(torch::equal(rain, pixels));
  EXPECT_TRUE(torch::equal(Rendered(pixels, contents, vision::Weather::kRain, 2), rain));
  EXPECT_FALSE(torch::equal(Rendered(pixels, contents, vision::Weather::kRain, 3), rain));
  EXPECT_FALSE(torch::equal(Rendered(pixels, contents, vision::Weather::kSnow, 2), rain));
  const std::vector<std::string> turned = {contents[1], contents[0]};
  EXPECT_TRUE(
      torch::equal(Rendered(pixels.flip(0), turned, vision::Weather::kRain, 2).flip(0), rain));
  EXPECT_FALSE(torch::equal(Rendered(pixels, turned, vision::Weather::kRain, 2), rain));
}

TEST(ErrorSignalsTest, CountPairsOfErrorsAndHits) {
  const JudgedAnswers answers{.answer = {0, 1, 2, 0, 1},
                              .right = {true, true, true, false, false},
                              .confidence = {0.9, 0.8, 0.4, 0.5, 0.3},
                              .uncertainty = {0.1, 0.2, 0.3, 0.2, 0.4}};
  const ErrorSignals signals = SignalsOf(answers);
  EXPECT_NEAR(*signals.confidence, 5.0 / 6.0, 1e-12);   // .5 is surer than the hit of .4.
  EXPECT_NEAR(*signals.uncertainty, 4.5 / 6.0, 1e-12);  // .2: above one, beside one, below one.
  EXPECT_NEAR(*signals.mean_uncertainty, 0.24, 1e-12);
}

TEST(ErrorSignalsTest, WithoutAnErrorThereIsNoneToFind) {
  const ErrorSignals signals = SignalsOf(
      {.answer = {0, 1}, .right = {true, true}, .confidence = {0.9, 0.8}, .uncertainty = {}});
  EXPECT_FALSE(signals.confidence.has_value());
  EXPECT_FALSE(signals.uncertainty.has_value());
  EXPECT_FALSE(signals.mean_uncertainty.has_value());
}

TEST(MeasureUnderWeatherTest, TellsWhatEveryNetworkAnswers) {
  torch::manual_seed(2);
  const v1::Recipe recipe = TinyMofmeRecipe();
  nets::Vit network(VitOptionsOf(recipe, 3));
  const Standardise standardise(recipe.preprocessing(), torch::kCPU);
  const torch::Tensor pixels = torch::randint(0, 256, {12, 16, 16, 3}, torch::kUInt8);
  std::vector<size_t> labels(12);
  std::vector<std::string> contents, names;
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i] = i % 3;
    contents.push_back(std::to_string(1000 + i));
    names.push_back("p" + std::to_string(i));
  }
  const VitAnswers clean = Ask(network, standardise, pixels);
  const WeatherReport report = MeasureUnderWeather(network, standardise, pixels, contents, labels,
                                                   3, clean, {.permutations = 20});
  ASSERT_THAT(report.conditions, SizeIs(10));
  const VitAnswers fog =
      Ask(network, standardise, Rendered(pixels, contents, vision::Weather::kFog, 3));
  JudgedAnswers judged;
  judged.Add(fog, labels);
  EXPECT_EQ(report.conditions[6].weather, "fog");
  EXPECT_EQ(report.conditions[6].answers.answer, judged.answer);
  EXPECT_EQ(report.conditions[6].answers.uncertainty, judged.uncertainty);
  ASSERT_THAT(report.weather_and_expert, SizeIs(2));
  for (const auto& known : report.weather_and_expert) {
    EXPECT_GE(known.information.normalised, 0.0);
    EXPECT_GE(known.p_value, 1.0 / 21.0 - 1e-12);
  }
  const std::string text = ToText(report);
  EXPECT_THAT(text, AllOf(HasSubstr("clean "), HasSubstr("snow 3"), HasSubstr("uncertainty"),
                          HasSubstr("information about the weather")));
  EXPECT_THAT(LinesOf(AnswersText(report, names, labels, {"a", "b", "c"})), SizeIs(1 + 10 * 12));
}

}  // namespace
}  // namespace orchard::training
