#pragma once

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"

#include "training/log/run_log.h"
#include "training/loop/callback.h"
#include "training/loop/callbacks.h"

namespace orchard::training {

/// Gives every epoch to a log. `log` outlives it.
class RecordEpochs final : public Callback {
 public:
  explicit RecordEpochs(RunLog& log) : log_(log) {}

  absl::Status AfterEpoch(LoopState& state) override {
    log_.Epoch({.phase = state.title,
                .epoch = state.epoch + 1,
                .steps = state.steps,
                .loss = state.mean_loss,
                .terms = state.terms,
                .rate_factor = state.rate_factor,
                .gradient_norm = state.gradient_norm,
                .validated = state.validated,
                .validation = state.validation,
                .measures = state.measures,
                .expert_load = state.expert_load,
                .seconds = state.seconds,
                .pictures_per_second = state.pictures_per_second()});
    return absl::OkStatus();
  }

 private:
  RunLog& log_;
};

/// Tells a log of the file that `best` has just written, if it has. Stands behind `best`, which it
/// asks: a network that is small may be written twice before the file's time moves. `log` and
/// `best` outlive it.
class RecordBest final : public Callback {
 public:
  RecordBest(RunLog& log, std::filesystem::path file, const KeepBest& best)
      : log_(log), file_(std::move(file)), best_(best) {}

  absl::Status AfterEpoch(LoopState& state) override {
    if (best_.epoch() == state.epoch + 1) log_.File(file_, best_.epoch());
    return absl::OkStatus();
  }

 private:
  RunLog& log_;
  std::filesystem::path file_;
  const KeepBest& best_;
};

/// Tells a log of a file whenever an epoch has written it anew. Stands behind Checkpointing; `log`
/// outlives it.
class RecordFile final : public Callback {
 public:
  RecordFile(RunLog& log, std::filesystem::path file) : log_(log), file_(std::move(file)) {}

  absl::Status AfterEpoch(LoopState& state) override {
    std::error_code error;
    const auto written = std::filesystem::last_write_time(file_, error);
    if (error || written == written_) return absl::OkStatus();
    written_ = written;
    log_.File(file_, state.epoch + 1);
    return absl::OkStatus();
  }

 private:
  RunLog& log_;
  std::filesystem::path file_;
  std::filesystem::file_time_type written_;
};

}  // namespace orchard::training
