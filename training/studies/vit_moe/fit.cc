#include "training/studies/vit_moe/fit.h"

#include <chrono>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

#include "core/printable.h"
#include "core/status.h"
#include "nets/parameter_count.h"
#include "training/fit_classifier.h"
#include "training/log/picture_facts.h"
#include "training/log/say.h"
#include "training/loop/picture_task.h"
#include "training/measure/classification.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/model.h"
#include "training/studies/vit_moe/run.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Accuracy; the loss without smoothing and the load of the experts go beside it.
class ValidateVit {
 public:
  /// `run` outlives it.
  explicit ValidateVit(VitMoeRun& run)
      : run_(run), standardise_(PreprocessingOf(run.recipe), run.device) {}

  /// Reads what there is to validate on. Errors: those of FitPictures.
  absl::Status Load() {
    const std::vector<size_t> validation = run_.On(Side::kValidation);
    if (validation.empty()) return absl::OkStatus();
    ORCHARD_ASSIGN_OR_RETURN(pixels_, ServedViews(run_, validation));
    labels_ = run_.Labels(validation);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<double>> operator()(LoopState& state) const {
    if (!pixels_.defined()) return std::optional<double>();
    const VitAnswers answers = Ask(run_.network, standardise_, pixels_);
    const torch::Tensor& rows = answers.log_probabilities;
    const Classification figures =
        Classify({rows.data_ptr<float>(), static_cast<size_t>(rows.numel())}, labels_,
                 run_.classes().size());
    state.measures = {{"nll", figures.nll}, {"calibration_error", figures.calibration_error}};
    state.expert_load = ExpertLoad(answers.routing);
    return std::optional<double>(figures.accuracy.Share());
  }

 private:
  VitMoeRun& run_;
  Standardise standardise_;
  torch::Tensor pixels_;  // uint8 [V, side, side, 3]; undefined: nothing to validate on
  std::vector<size_t> labels_;
};

void SayPictures(const VitMoeRun& run) {
  for (const std::string& skipped : run.set.skipped) Say("left out: " + core::Printable(skipped));
  Say(absl::StrCat(run.classes().size(), " classes, ", run.On(Side::kTrain).size(),
                   " pictures to train on, ", run.On(Side::kValidation).size(), " to validate, ",
                   run.On(Side::kTest).size(), " to test; ", nets::CountParameters(*run.network),
                   " parameters on ", run.places.device));
}

}  // namespace

absl::Status FitVitMoe(const v1::Recipe& recipe, const RunPlaces& places,
                       const FitOptions& options) {
  const auto begun = std::chrono::steady_clock::now();
  if (!options.start_from.empty()) {
    return absl::InvalidArgumentError(
        "--start-from: study vit_moe begins with random weights, always");
  }
  ORCHARD_RETURN_IF_ERROR(CheckWorkFolder(recipe, places.work, options));
  std::error_code error;  // A kill before the split was written leaves nothing to go on with.
  const bool go_on = options.resume && fs::exists(places.work / kSplit, error);
  ORCHARD_ASSIGN_OR_RETURN(VitMoeRun run, PrepareVitMoeRun(recipe, places, go_on));
  ORCHARD_RETURN_IF_ERROR(BeginWorkFolder(recipe, places.work, options));
  if (!go_on) ORCHARD_RETURN_IF_ERROR(WriteSplit(places.work / kSplit, run.set));
  if (options.log != nullptr) options.log->Begin(PictureFacts(run.set));
  SayPictures(run);
  ValidateVit validate(run);
  ORCHARD_RETURN_IF_ERROR(validate.Load());
  VitMoeModel model(run.network, run.recipe);
  const auto make_task = [&run]() -> std::unique_ptr<Task> {
    return std::make_unique<PictureTask>(
        run.set.pictures, run.set.labels, run.recipe, run.set.domains,
        PictureTask::Options{.pictures = run.On(Side::kTrain),
                             .threads = LoaderThreads(run.places.threads, run.device)});
  };
  return FitClassifier({.recipe = run.recipe,
                        .places = run.places,
                        .options = options,
                        .model = model,
                        .device = run.device,
                        .task = make_task,
                        .validate = [&validate](LoopState& state) { return validate(state); },
                        .begun = begun});
}

}  // namespace orchard::training
