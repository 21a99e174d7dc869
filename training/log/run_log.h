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
  double validation = 0.0;  ///< larger is better; where `validated`
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
                .validation = state.validation});
    return absl::OkStatus();
  }

 private:
  RunLog& log_;
};

}  // namespace orchard::training
