#include "training/studies/fruit_nets/fit.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

#include "core/printable.h"
#include "core/status.h"
#include "nets/parameter_count.h"
#include "training/fit_classifier.h"
#include "training/log/picture_facts.h"
#include "training/log/run_log.h"
#include "training/log/say.h"
#include "training/loop/feature_task.h"
#include "training/loop/picture_task.h"
#include "training/measure/classification.h"
#include "training/studies/fruit_nets/model.h"
#include "training/studies/fruit_nets/run.h"
#include "training/studies/fruit_nets/statements.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// What one call of fit trains and validates with.
class FruitFit {
 public:
  explicit FruitFit(FruitNetsRun& run)
      : run_(run), model_(run.network, run.recipe), input_(run.network, run.recipe) {}

  /// Reads what there is to validate on. Errors: those of FitPictures.
  absl::Status LoadValidation() {
    const std::vector<size_t> validation = run_.On(Side::kValidation);
    if (validation.empty()) return absl::OkStatus();
    ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor views, ServedViews(run_, validation));
    validation_ = input_.Read(views);
    validation_labels_ = run_.LabelsOf(validation);
    return absl::OkStatus();
  }

  /// Random views of the training pictures; of a frozen trunk what it makes of them, once. Errors:
  /// those of FitPictures.
  absl::StatusOr<std::unique_ptr<Task>> MakeTask() {
    const std::vector<size_t> train = run_.On(Side::kTrain);
    if (!run_.recipe.fruit_nets().frozen_trunk()) {
      return std::make_unique<PictureTask>(
          run_.set.pictures, run_.labels, run_.recipe, run_.told,
          PictureTask::Options{.pictures = train,
                               .threads = LoaderThreads(run_.places.threads, run_.device)});
    }
    ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor views, ServedViews(run_, train));
    maps_.pooled = input_.Read(views);  // [n, C, h, w]: the table doesn't look at its rows.
    std::vector<Label> labels;
    for (const size_t i : train) labels.push_back(run_.labels[i]);
    return std::make_unique<FeatureTask>(
        maps_, std::move(labels), run_.recipe,
        FeatureTask::Options{
            .batch = run_.recipe.optimisation().batch(), .phase = 40, .with_map = false});
  }

  /// Accuracy; the loss without smoothing goes beside it.
  absl::StatusOr<std::optional<double>> Validate(LoopState& state) {
    if (!validation_.defined()) return std::optional<double>();
    const torch::Tensor rows = input_.LogProbabilities(validation_);
    const Classification figures =
        Classify({rows.data_ptr<float>(), static_cast<size_t>(rows.numel())}, validation_labels_,
                 run_.classes().size());
    state.measures = {{"nll", figures.nll}, {"calibration_error", figures.calibration_error}};
    return std::optional<double>(figures.accuracy.Share());
  }

  Model& model() { return model_; }

 private:
  FruitNetsRun& run_;
  FruitNetModel model_;
  FruitNetInput input_;
  FeatureTable maps_;         // Of a frozen trunk.
  torch::Tensor validation_;  // As FruitNetInput reads it; undefined: nothing.
  std::vector<size_t> validation_labels_;
};

void SayPictures(const FruitNetsRun& run) {
  for (const std::string& skipped : run.set.skipped) Say("left out: " + core::Printable(skipped));
  const FoldOptions folds = FoldsOf(run.recipe.fruit_nets());
  Say(absl::StrCat(run.classes().size(), " classes, ", run.On(Side::kTrain).size(),
                   " pictures to train on, ", run.On(Side::kValidation).size(), " to validate, ",
                   run.On(Side::kTest).size(), " held out (fold ", folds.held_out, " of ",
                   folds.folds, folds.raw ? ", duplicates on both sides); " : "); ",
                   nets::CountParameters(*run.network), " parameters on ", run.places.device));
}

}  // namespace

absl::Status FitFruitNets(const v1::Recipe& recipe, const RunPlaces& places,
                          const FitOptions& options) {
  const auto begun = std::chrono::steady_clock::now();
  if (!options.start_from.empty()) {
    return absl::InvalidArgumentError(
        "--start-from: study fruit_nets begins with random weights, or a trunk from --weights");
  }
  ORCHARD_RETURN_IF_ERROR(CheckWorkFolder(recipe, places.work, options));
  std::error_code error;  // A kill before the split was written leaves nothing to go on with.
  const bool go_on = options.resume && fs::exists(places.work / kSplit, error);
  ORCHARD_ASSIGN_OR_RETURN(
      FruitNetsRun run, PrepareFruitNetsRun(recipe, places, go_on, FruitWeights::kAsTheRecipeSays));
  ORCHARD_RETURN_IF_ERROR(BeginWorkFolder(recipe, places.work, options));
  if (!go_on) ORCHARD_RETURN_IF_ERROR(WriteSplit(places.work / kSplit, run.set));
  if (options.log != nullptr) options.log->Begin(PictureFacts(run.set));
  SayPictures(run);
  FruitFit fit(run);
  ORCHARD_RETURN_IF_ERROR(fit.LoadValidation());
  return FitClassifier({.recipe = run.recipe,
                        .places = run.places,
                        .options = options,
                        .model = fit.model(),
                        .device = run.device,
                        .task = [&fit] { return fit.MakeTask(); },
                        .validate = [&fit](LoopState& state) { return fit.Validate(state); },
                        .begun = begun});
}

}  // namespace orchard::training
