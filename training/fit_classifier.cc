#include "training/fit_classifier.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"
#include "training/log/history.h"
#include "training/log/record_epochs.h"
#include "training/log/run_log.h"
#include "training/log/say.h"
#include "training/loop/average.h"
#include "training/loop/checkpoint.h"
#include "training/loop/loop.h"
#include "training/loop/optimiser.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

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
class Run {
 public:
  explicit Run(const ClassifierFit& fit)
      : fit_(fit),
        work_(fit.places.work),
        module_(fit.model.module()),
        log_(fit.options.log != nullptr ? *fit.options.log : no_log_),
        optimiser_(fit.model.Parameters(), fit.recipe.optimisation().weight_decay()),
        average_(WithStatistics(optimiser_.parameters(), module_),
                 fit.recipe.optimisation().average_decay()),
        early_(fit.recipe.optimisation().patience()),
        best_(work_ / kBest, module_, &average_),
        checkpoint_({.file = work_ / kCheckpoint,
                     .module = &module_,
                     .optimiser = &optimiser_,
                     .average = &average_,
                     .others = {&early_, &best_},
                     .every = fit.recipe.optimisation().save_every()}) {}

  absl::Status Go() {
    size_t first = 0;
    if (GoesOn()) {
      ORCHARD_ASSIGN_OR_RETURN(first, Restore());
    }
    if (first < LastEpoch() && !early_.stopped()) ORCHARD_RETURN_IF_ERROR(Epochs(first));
    if (best_.epoch() > 0) {
      Say(absl::StrFormat("best: epoch %d, validation accuracy %.4f (%s)", best_.epoch(),
                          best_.best(), kBest));
    }
    if (early_.stopped()) Say("ended early: validation has stopped getting better");
    if (!finished_ && !early_.stopped()) {
      Say("not all epochs are done: --resume goes on");
      return absl::OkStatus();
    }
    const Averaged averaged(average_);
    ORCHARD_RETURN_IF_ERROR(WriteNetwork(work_ / kFinal, module_));
    log_.File(work_ / kFinal, /*epoch=*/0);
    return absl::OkStatus();
  }

 private:
  bool GoesOn() const {
    std::error_code error;
    return fit_.options.resume && fs::exists(work_ / kCheckpoint, error);
  }

  /// Epochs of the recipe that are to be done when this call ends.
  size_t LastEpoch() const {
    const size_t all = fit_.recipe.optimisation().epochs();
    return fit_.options.stop_after > 0 ? std::min(fit_.options.stop_after, all) : all;
  }

  absl::StatusOr<size_t> Restore() {
    const fs::path file = work_ / kCheckpoint;
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved, ReadSnapshot(file));
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(LoadModule(module_, Under(saved, "network.")), file.string()));
    ORCHARD_ASSIGN_OR_RETURN(const size_t done, checkpoint_.Restore(saved));
    finished_ = done == fit_.recipe.optimisation().epochs();
    Say(absl::StrCat("going on after epoch ", done));
    return done;
  }

  absl::Status Epochs(size_t first) {
    const v1::Optimisation& o = fit_.recipe.optimisation();
    ORCHARD_ASSIGN_OR_RETURN(const std::unique_ptr<Task> task, fit_.task());
    ORCHARD_ASSIGN_OR_RETURN(History history, History::Open(work_ / kHistory, first));
    ShowProgress progress(/*last_line=*/false);
    FollowSchedule schedule(ScheduleOf(o, task->steps()));
    Averaging averaging(average_);
    Validation validation(
        {.every = o.validate_every(), .after = o.validate_after(), .last = o.epochs()}, &average_,
        fit_.validate);
    TimeLimit limit(fit_.options.time_limit, [this] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - fit_.begun).count();
    });
    SayEpoch say;
    RecordEpochs record(history), log_epoch(log_);
    RecordBest log_best(log_, work_ / kBest, best_);
    // Logs before the checkpoint: what a killed run did not save it does, and says, again.
    const std::array<Callback*, 12> callbacks = {&progress, &schedule,  &averaging, &validation,
                                                 &best_,    &early_,    &limit,     &say,
                                                 &record,   &log_epoch, &log_best,  &checkpoint_};
    ORCHARD_RETURN_IF_ERROR(RunLoop(*task, fit_.model, optimiser_, callbacks,
                                    {.title = "epoch",
                                     .first_epoch = first,
                                     .epochs = LastEpoch(),
                                     .accumulate = std::max<size_t>(o.accumulate(), 1),
                                     .gradient_norm = o.gradient_norm(),
                                     .seed = Mix(fit_.recipe.seed(), /*a=*/20),
                                     .device = fit_.device,
                                     .arithmetic = ArithmeticOf(fit_.recipe, fit_.device)}));
    finished_ = LastEpoch() == o.epochs() && !limit.reached();
    if (limit.reached()) Say("the time limit is near: stopped for now");
    return absl::OkStatus();
  }

  const ClassifierFit& fit_;
  const fs::path work_;
  torch::nn::Module& module_;
  NoRunLog no_log_;
  RunLog& log_;
  AdamW optimiser_;
  WeightAverage average_;
  EarlyStop early_;
  KeepBest best_;
  Checkpointing checkpoint_;
  bool finished_ = false;  // All epochs of the recipe are done.
};

}  // namespace

absl::Status FitClassifier(const ClassifierFit& fit) { return Run(fit).Go(); }

size_t LoaderThreads(size_t threads, const torch::Device& device) {
  constexpr size_t kFeeding = 2;  // The loop's own, and autograd's.
  return device.is_cpu() || threads <= kFeeding + 1 ? 1 : threads - kFeeding;
}

}  // namespace orchard::training
