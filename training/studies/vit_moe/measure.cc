#include "training/studies/vit_moe/measure.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/text.h"
#include "training/measure/classification.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/router_health.h"
#include "training/studies/vit_moe/run.h"

namespace orchard::training {
namespace {

using Json = nlohmann::ordered_json;

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

Json ToJson(const MeasureOptions& options, const VitMoeRun& run, const Classification& figures,
            const std::vector<LayerHealth>& layers,
            const std::vector<std::vector<double>>& expert_load) {
  Json json = {{"recipe", run.recipe.name()},
               {"network", options.network},
               {"split", options.split},
               {"pictures", figures.accuracy.total},
               {"hits", figures.accuracy.hits},
               {"accuracy", figures.accuracy.Share()},
               {"interval", {figures.interval.low, figures.interval.high}},
               {"nll", figures.nll},
               {"calibration_error", figures.calibration_error}};
  for (size_t c = 0; c < run.classes().size(); ++c) {
    json["classes"].push_back({{"name", run.classes()[c]},
                               {"hits", figures.by_class[c].hits},
                               {"pictures", figures.by_class[c].total}});
  }
  json["confusion"] = figures.confusion;
  json["expert_load"] = expert_load;
  for (const LayerHealth& layer : layers) json["routers"].push_back(ToJson(layer));
  return json;
}

std::string PredictionsText(const VitMoeRun& run, const std::vector<size_t>& pictures,
                            const torch::Tensor& log_probabilities) {
  const size_t width = run.classes().size();
  const std::span<const float> all(log_probabilities.data_ptr<float>(),
                                   static_cast<size_t>(log_probabilities.numel()));
  std::string text = "picture\tlabel\tanswer\tprobability\tlog_probability_of_label\n";
  for (size_t i = 0; i < pictures.size(); ++i) {
    const std::span<const float> row = all.subspan(i * width, width);
    const size_t label = run.set.labels[pictures[i]].label;
    const size_t answer = BestClass(row);
    absl::StrAppend(&text, run.set.names[pictures[i]], "\t", run.classes()[label], "\t",
                    run.classes()[answer], "\t", absl::StrFormat("%.5f", std::exp(row[answer])),
                    "\t", absl::StrFormat("%.5f", row[label]), "\n");
  }
  return text;
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
  const std::vector<size_t> labels = run.Labels(pictures);
  const Standardise standardise(PreprocessingOf(run.recipe), run.device);
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels, ServedViews(run, pictures));
  const VitAnswers answers = Ask(run.network, standardise, pixels);
  const torch::Tensor& rows = answers.log_probabilities;
  const Classification figures = Classify(
      {rows.data_ptr<float>(), static_cast<size_t>(rows.numel())}, labels, run.classes().size());
  std::vector<LayerHealth> layers;
  if (options.judge_routers) {
    layers = JudgeRouters(run.network, standardise, pixels, labels, run.classes().size(), answers,
                          {.seed = run.recipe.seed()});
  }
  const std::string json =
      ToJson(options, run, figures, layers, ExpertLoad(answers.routing)).dump(1);
  ORCHARD_RETURN_IF_ERROR(
      core::WriteFile(places.work / absl::StrCat("measure-", options.split, ".json"), json + "\n"));
  ORCHARD_RETURN_IF_ERROR(
      core::WriteFile(places.work / absl::StrCat("predictions-", options.split, ".tsv"),
                      PredictionsText(run, pictures, rows)));
  const std::string text =
      options.json ? json + "\n"
                   : ToText(figures, run.classes()) + (layers.empty() ? "" : ToText(layers));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
