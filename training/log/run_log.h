#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "training/loop/callback.h"

namespace orchard::training {

/// One epoch, as a run log keeps it.
struct EpochRecord {
  std::string phase;                                  ///< "heads", "epoch", "refit" …
  size_t epoch = 0;                                   ///< from 1
  size_t steps = 0;                                   ///< of the optimiser
  double loss = 0.0;                                  ///< mean over the steps
  std::vector<std::pair<std::string, double>> terms;  ///< of the loss, unweighted means
  double rate_factor = 0.0;                           ///< of the peak rates, at the last step
  double gradient_norm = 0.0;  ///< of the last step, before clipping; 0 without clipping
  bool validated = false;
  double validation = 0.0;                               ///< larger is better; where `validated`
  std::vector<std::pair<std::string, double>> measures;  ///< what else it found, by name
  std::vector<std::vector<double>> expert_load;  ///< [layers][E]: shares of picks; may be empty
  double seconds = 0.0;                          ///< that the steps took
  double pictures_per_second = 0.0;
};

/// Where a run's history goes. An error of a log never ends a run: what it can't take it keeps.
class RunLog {
 public:
  virtual ~RunLog() = default;
  virtual void Epoch(const EpochRecord& record) = 0;
};

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

}  // namespace orchard::training
