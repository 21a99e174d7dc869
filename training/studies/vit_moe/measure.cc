#include "training/studies/vit_moe/measure.h"

#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "training/measure/picture_answers.h"
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
  const Standardise standardise(PreprocessingOf(run.recipe), run.device);
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels, ServedViews(run, pictures));
  const VitAnswers answers = Ask(run.network, standardise, pixels);
  const PictureAnswers said = AnswersOf(run, options, pictures, answers.log_probabilities);
  const Classification figures = Classify(said);
  std::vector<LayerHealth> layers;
  if (options.judge_routers) {
    layers = JudgeRouters(run.network, standardise, pixels, said.labels, run.classes().size(),
                          answers, {.seed = run.recipe.seed()});
  }
  Json json = ToJson(said, figures);
  json["expert_load"] = ExpertLoad(answers.routing);
  for (const LayerHealth& layer : layers) json["routers"].push_back(ToJson(layer));
  const std::string figures_text = json.dump(1);
  ORCHARD_RETURN_IF_ERROR(WriteAnswers(places.work, said, figures_text));
  const std::string text =
      options.json ? figures_text + "\n"
                   : ToText(figures, run.classes()) + (layers.empty() ? "" : ToText(layers));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
