#include "training/studies/vit_moe/fit.h"

#include <array>
#include <chrono>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/printable.h"
#include "core/status.h"
#include "nets/parameter_count.h"
#include "training/log/history.h"
#include "training/log/picture_facts.h"
#include "training/log/record_epochs.h"
#include "training/log/say.h"
#include "training/loop/average.h"
#include "training/loop/callbacks.h"
#include "training/loop/checkpoint.h"
#include "training/loop/loop.h"
#include "training/loop/picture_task.h"
#include "training/measure/classification.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/model.h"
#include "training/studies/vit_moe/run.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// What is averaged: what is trained, and the statistics that are learned beside it.
std::vector<TrainedParameter> WithStatistics(std::vector<TrainedParameter> parameters,
                                             const torch::nn::Module& module) {
  for (const auto& buffer : module.named_buffers()) {
    if (!buffer.value().is_floating_point()) continue;
    parameters.push_back({.name = buffer.key(), .value = buffer.value()});
  }
  return parameters;
}

Arithmetic ArithmeticOf(const v1::Recipe& recipe, const torch::Device& device) {
  const v1::Arithmetic asked = recipe.optimisation().arithmetic();
  const bool half = asked == v1::BF16 || (asked == v1::BF16_ON_GPU && device.is_cuda());
  return half ? Arithmetic::kBf16 : Arithmetic::kFp32;
}

/// A run in progress.
class FitRun {
 public:
  FitRun(VitMoeRun run, const FitOptions& options, Clock::time_point begun)
      : run_(std::move(run)),
        options_(options),
        begun_(begun),
        log_(options.log != nullptr ? *options.log : no_log_),
        standardise_(PreprocessingOf(run_.recipe), run_.device) {}

  absl::Status Go() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    const fs::path& work = run_.places.work;
    ORCHARD_RETURN_IF_ERROR(LoadValidation());
    VitMoeModel model(run_.network, run_.recipe);
    AdamW optimiser(model.Parameters(), o.weight_decay());
    WeightAverage average(WithStatistics(optimiser.parameters(), *run_.network), o.average_decay());
    EarlyStop early(o.patience());
    KeepBest best(work / kBest, *run_.network, &average);
    Checkpointing checkpoint({.file = work / kCheckpoint,
                              .module = run_.network.get(),
                              .optimiser = &optimiser,
                              .average = &average,
                              .others = {&early, &best},
                              .every = o.save_every()});
    size_t first = 0;
    if (GoesOn()) {
      ORCHARD_ASSIGN_OR_RETURN(first, Restore(checkpoint));
    }
    if (first < LastEpoch() && !early.stopped()) {
      ORCHARD_RETURN_IF_ERROR(Epochs(first, model, optimiser, average, early, best, checkpoint));
    }
    if (best.epoch() > 0) {
      Say(absl::StrFormat("best: epoch %d, validation accuracy %.4f (%s)", best.epoch(),
                          best.best(), kBest));
    }
    if (early.stopped()) Say("ended early: validation has stopped getting better");
    if (!finished_ && !early.stopped()) {
      Say("not all epochs are done: --resume goes on");
      return absl::OkStatus();
    }
    const Averaged averaged(average);
    ORCHARD_RETURN_IF_ERROR(WriteNetwork(work / kFinal, *run_.network));
    log_.File(work / kFinal, /*epoch=*/0);
    return absl::OkStatus();
  }

 private:
  absl::Status LoadValidation() {
    const std::vector<size_t> validation = run_.On(Side::kValidation);
    if (validation.empty()) return absl::OkStatus();
    ORCHARD_ASSIGN_OR_RETURN(validation_pixels_, ServedViews(run_, validation));
    validation_labels_ = run_.Labels(validation);
    return absl::OkStatus();
  }

  bool GoesOn() const {
    std::error_code error;
    return options_.resume && fs::exists(run_.places.work / kCheckpoint, error);
  }

  /// Epochs of the recipe that are to be done when this call ends.
  size_t LastEpoch() const {
    const size_t all = run_.recipe.optimisation().epochs();
    return options_.stop_after > 0 ? std::min(options_.stop_after, all) : all;
  }

  absl::StatusOr<size_t> Restore(Checkpointing& checkpoint) {
    const fs::path file = run_.places.work / kCheckpoint;
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved, ReadSnapshot(file));
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(LoadModule(*run_.network, Under(saved, "network.")), file.string()));
    ORCHARD_ASSIGN_OR_RETURN(const size_t done, checkpoint.Restore(saved));
    finished_ = done == run_.recipe.optimisation().epochs();
    Say(absl::StrCat("going on after epoch ", done));
    return done;
  }

  absl::Status Epochs(size_t first, VitMoeModel& model, AdamW& optimiser, WeightAverage& average,
                      EarlyStop& early, KeepBest& best, Checkpointing& checkpoint) {
    const v1::Optimisation& o = run_.recipe.optimisation();
    PictureTask task(run_.set.pictures, run_.set.labels, run_.recipe, run_.set.domains,
                     {.pictures = run_.On(Side::kTrain), .threads = LoaderThreads()});
    ORCHARD_ASSIGN_OR_RETURN(History history, History::Open(run_.places.work / kHistory, first));
    ShowProgress progress(/*last_line=*/false);
    FollowSchedule schedule(ScheduleOf(o, task.steps()));
    Averaging averaging(average);
    Validation validation(
        {.every = o.validate_every(), .after = o.validate_after(), .last = o.epochs()}, &average,
        [this](LoopState& state) { return Validate(state); });
    TimeLimit limit(options_.time_limit, [this] {
      return std::chrono::duration<double>(Clock::now() - begun_).count();
    });
    SayEpoch say;
    RecordEpochs record(history), log_epoch(log_);
    RecordBest log_best(log_, run_.places.work / kBest, best);
    // Logs before the checkpoint: what a killed run did not save it does, and says, again.
    const std::array<Callback*, 12> callbacks = {&progress, &schedule,  &averaging, &validation,
                                                 &best,     &early,     &limit,     &say,
                                                 &record,   &log_epoch, &log_best,  &checkpoint};
    ORCHARD_RETURN_IF_ERROR(RunLoop(task, model, optimiser, callbacks,
                                    {.title = "epoch",
                                     .first_epoch = first,
                                     .epochs = LastEpoch(),
                                     .accumulate = std::max<size_t>(o.accumulate(), 1),
                                     .gradient_norm = o.gradient_norm(),
                                     .seed = Mix(run_.recipe.seed(), /*a=*/20),
                                     .device = run_.device,
                                     .arithmetic = ArithmeticOf(run_.recipe, run_.device)}));
    finished_ = LastEpoch() == o.epochs() && !limit.reached();
    if (limit.reached()) Say("the time limit is near: stopped for now");
    return absl::OkStatus();
  }

  /// Beside a GPU all but those that feed it; else the network has the CPU.
  size_t LoaderThreads() const {
    constexpr size_t kFeeding = 2;  // The loop's own, and autograd's.
    const size_t threads = run_.places.threads;
    return run_.device.is_cpu() || threads <= kFeeding + 1 ? 1 : threads - kFeeding;
  }

  /// Accuracy; the loss without smoothing and the load of the experts go beside it.
  absl::StatusOr<std::optional<double>> Validate(LoopState& state) {
    if (!validation_pixels_.defined()) return std::optional<double>();
    const VitAnswers answers = Ask(run_.network, standardise_, validation_pixels_);
    const torch::Tensor& rows = answers.log_probabilities;
    const Classification figures =
        Classify({rows.data_ptr<float>(), static_cast<size_t>(rows.numel())}, validation_labels_,
                 run_.classes().size());
    state.measures = {{"nll", figures.nll}, {"calibration_error", figures.calibration_error}};
    state.expert_load = ExpertLoad(answers.routing);
    return std::optional<double>(figures.accuracy.Share());
  }

  VitMoeRun run_;
  FitOptions options_;
  Clock::time_point begun_;
  NoRunLog no_log_;
  RunLog& log_;
  Standardise standardise_;
  torch::Tensor validation_pixels_;  // uint8 [V, side, side, 3]; undefined: nothing to validate on
  std::vector<size_t> validation_labels_;
  bool finished_ = false;  // All epochs of the recipe are done.
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
  const Clock::time_point begun = Clock::now();
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
  return FitRun(std::move(run), options, begun).Go();
}

}  // namespace orchard::training
