#include "training/studies/vit_moe/measure.h"

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/text.h"
#include "training/measure/picture_answers.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/error_signals.h"
#include "training/studies/vit_moe/router_health.h"
#include "training/studies/vit_moe/run.h"
#include "training/studies/vit_moe/weather.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// All that is measured of one side's pictures.
struct Measured {
  PictureAnswers said{};
  Classification figures{};
  std::vector<std::vector<double>> expert_load{};
  ErrorSignals signals{};
  std::vector<LayerHealth> layers{};       // empty: not asked for, or nothing routes
  std::optional<WeatherReport> weather{};  // of a recipe that trains under weather
};

Json ToJson(const LayerHealth& layer) {
  const moe::LayerMeasures& m = layer.measures;
  Json json = {{"verdict", std::string(moe::NameOf(layer.judgement.verdict))},
               {"reason", layer.judgement.reason},
               {"balance", m.balance},
               {"effective_experts", m.effective_experts},
               {"max_over_mean", m.max_over_mean},
               {"cv_squared", m.cv_squared},
               {"token_entropy", m.token_entropy},
               {"gate_information", m.gate_information},
               {"dead", m.dead}};
  if (layer.median_distance >= 0.0) json["median_distance"] = layer.median_distance;
  json["shuffle_points_lost"] = layer.shuffle.accuracy_lost;
  json["shuffle_p"] = layer.shuffle.p_value;
  json["class_information"] = layer.class_information;
  json["class_p"] = layer.class_p;
  return json;
}

PictureAnswers AnswersOf(const VitMoeRun& run, const MeasureOptions& options,
                         const std::vector<size_t>& pictures, const torch::Tensor& rows) {
  PictureAnswers answers{
      .recipe = run.recipe.name(),
      .network = options.network,
      .split = options.split,
      .classes = run.classes(),
      .names = {},
      .labels = run.Labels(pictures),
      .log_probabilities = {rows.data_ptr<float>(), rows.data_ptr<float>() + rows.numel()}};
  for (const size_t i : pictures) answers.names.push_back(run.set.names[i]);
  return answers;
}

Json ToJson(const Measured& measured) {
  Json json = ToJson(measured.said, measured.figures);
  json["error_signals"] = ToJson(measured.signals);
  json["expert_load"] = measured.expert_load;
  for (const LayerHealth& layer : measured.layers) json["routers"].push_back(ToJson(layer));
  if (measured.weather) json["weather"] = ToJson(*measured.weather);
  return json;
}

std::string ToText(const Measured& measured) {
  std::string text = ToText(measured.figures, measured.said.classes);
  if (measured.signals.confidence) {
    absl::StrAppendFormat(&text, "errors found by confidence: AUROC %.4f\n",
                          *measured.signals.confidence);
  }
  if (measured.signals.uncertainty) {
    absl::StrAppendFormat(&text, "errors found by the routers' uncertainty: AUROC %.4f\n",
                          *measured.signals.uncertainty);
  }
  if (!measured.layers.empty()) text += ToText(measured.layers);
  if (measured.weather) text += ToText(*measured.weather);
  return text;
}

Measured MeasurePictures(VitMoeRun& run, const MeasureOptions& options,
                         const std::vector<size_t>& pictures, const torch::Tensor& pixels) {
  Measured measured;
  const size_t classes = run.classes().size();
  const Standardise standardise(PreprocessingOf(run.recipe), run.device);
  const VitAnswers answers = Ask(run.network, standardise, pixels);
  measured.said = AnswersOf(run, options, pictures, answers.log_probabilities);
  const std::vector<size_t>& labels = measured.said.labels;
  measured.figures = Classify(measured.said);
  measured.expert_load = ExpertLoad(answers.routing);
  JudgedAnswers judged;
  judged.Add(answers, labels);
  measured.signals = SignalsOf(judged);
  if (options.judge_routers) {
    measured.layers = JudgeRouters(run.network, standardise, pixels, labels, classes, answers,
                                   {.seed = run.recipe.seed()});
  }
  if (TrainsUnderWeather(run.recipe)) {
    std::vector<std::string> contents;
    for (const size_t i : pictures) contents.push_back(run.set.contents[i]);
    measured.weather = MeasureUnderWeather(run.network, standardise, pixels, contents, labels,
                                           classes, answers, {.seed = run.recipe.seed()});
  }
  return measured;
}

/// What stays in the work folder, one file a table.
absl::Status WriteFiles(const fs::path& work, const Measured& measured, const std::string& json) {
  ORCHARD_RETURN_IF_ERROR(WriteAnswers(work, measured.said, json));
  if (!measured.weather) return absl::OkStatus();
  const PictureAnswers& said = measured.said;
  return core::WriteFile(work / absl::StrCat("weather-", said.split, ".tsv"),
                         AnswersText(*measured.weather, said.names, said.labels, said.classes));
}

}  // namespace

absl::Status MeasureVitMoe(const RunPlaces& places, const MeasureOptions& options) {
  const std::optional<Side> side = SideNamed(options.split);
  if (!side) {
    return absl::InvalidArgumentError(
        absl::StrCat("split \"", options.split, "\" is not one of train, validation, test"));
  }
  ORCHARD_ASSIGN_OR_RETURN(VitMoeRun run,
                           LoadVitMoeRun(places, options.network == "final" ? kFinal : kBest));
  const std::vector<size_t> pictures = run.On(*side);
  if (pictures.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("split ", options.split, " of ", places.data.string(), " has no pictures"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels, ServedViews(run, pictures));
  const Measured measured = MeasurePictures(run, options, pictures, pixels);
  const std::string json = ToJson(measured).dump(1);
  ORCHARD_RETURN_IF_ERROR(WriteFiles(places.work, measured, json));
  std::fputs((options.json ? json + "\n" : ToText(measured)).c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
