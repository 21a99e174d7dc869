#include "training/studies/fruit_nets/measure.h"

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "core/status.h"
#include "nets/multiply_adds.h"
#include "nets/parameter_count.h"
#include "training/measure/picture_answers.h"
#include "training/recipe.h"
#include "training/studies/fruit_nets/answers.h"
#include "training/studies/fruit_nets/run.h"
#include "training/studies/fruit_nets/statements.h"

namespace orchard::training {
namespace {

absl::StatusOr<PictureAnswers> AnswersOf(const FruitNetsRun& run, const MeasureOptions& options,
                                         const std::vector<size_t>& pictures) {
  PictureAnswers answers{.recipe = run.recipe.name(),
                         .network = options.network,
                         .split = options.split,
                         .classes = run.classes(),
                         .names = {},
                         .labels = run.LabelsOf(pictures),
                         .log_probabilities = {}};
  for (const size_t i : pictures) answers.names.push_back(run.set.names[i]);
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor views, ServedViews(run, pictures));
  FruitNetInput input(run.network, run.recipe);
  const torch::Tensor rows = input.LogProbabilities(input.Read(views));
  answers.log_probabilities.assign(rows.data_ptr<float>(), rows.data_ptr<float>() + rows.numel());
  return answers;
}

/// Of one picture.
absl::StatusOr<int64_t> MultiplyAdds(const FruitNetsRun& run) {
  nets::FruitNet network = run.network;
  const auto side = static_cast<int64_t>(PreprocessingOf(run.recipe).crop());
  const torch::Tensor example =
      torch::zeros({1, 3, side, side}, torch::TensorOptions().device(run.device));
  return nets::CountMultiplyAdds(
      *network, [&network](const torch::Tensor& x) { return network->forward(x); }, example);
}

}  // namespace

absl::Status MeasureFruitNets(const RunPlaces& places, const MeasureOptions& options) {
  const std::optional<Side> side = SideNamed(options.split);
  if (!side) {
    return absl::InvalidArgumentError(
        absl::StrCat("split \"", options.split, "\" is not one of train, validation, test"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const FruitNetsRun run,
                           LoadFruitNetsRun(places, options.network == "final" ? kFinal : kBest));
  const std::vector<size_t> pictures = run.On(*side);
  if (pictures.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("split ", options.split, " of ", places.data.string(), " has no pictures"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const PictureAnswers answers, AnswersOf(run, options, pictures));
  const Classification figures = Classify(answers);
  nlohmann::ordered_json json = ToJson(answers, figures);
  const FoldOptions folds = FoldsOf(run.recipe.fruit_nets());
  json["seed"] = run.recipe.seed();
  json["fold"] = folds.held_out;
  json["folds"] = folds.folds;
  json["raw_split"] = folds.raw;
  json["parameters"] = nets::CountParameters(*run.network);
  ORCHARD_ASSIGN_OR_RETURN(json["multiply_adds"], MultiplyAdds(run));
  const std::string text = json.dump(1);
  ORCHARD_RETURN_IF_ERROR(WriteAnswers(places.work, answers, text));
  std::fputs((options.json ? text + "\n" : ToText(figures, run.classes())).c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
