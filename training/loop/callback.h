#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include <torch/types.h>

namespace orchard::training {

/// Where a loop is, and what it found. Callbacks read it; what they may write is said.
struct LoopState {
  std::string title;       ///< of the phase
  size_t epoch = 0;        ///< that is running, from 0
  size_t epochs = 0;       ///< after which the loop ends
  size_t step = 0;         ///< of the epoch, from 0: optimiser steps
  size_t steps = 0;        ///< optimiser steps an epoch
  size_t pictures = 0;     ///< a step
  double loss = 0.0;       ///< of the last step
  double mean_loss = 0.0;  ///< of the epoch's steps so far
  /// Means of the loss's terms over the epoch's steps so far, unweighted.
  std::vector<std::pair<std::string, double>> terms;
  double gradient_norm = 0.0;  ///< of the last step, before clipping
  double rate_factor = 1.0;    ///< of the peak rates; a schedule sets it before each step
  double validation = 0.0;     ///< of the last epoch that had one, larger is better
  bool validated = false;      ///< whether the epoch that ended has one; a validation sets both
  /// What else the validation of the epoch that ended found, by name: "loss", …
  std::vector<std::pair<std::string, double>> measures;
  /// Shares of each expert's picks [layers][E] in that validation; empty: no experts inside.
  std::vector<std::vector<double>> expert_load;
  double seconds = 0.0;  ///< that the steps of the epoch that ended took
  bool stop = false;     ///< set it in AfterEpoch to end the loop with this epoch

  /// Of the epoch that ended; 0 before.
  double pictures_per_second() const {
    return seconds > 0.0 ? static_cast<double>(steps * pictures) / seconds : 0.0;
  }

  /// Steps of the whole loop before this one.
  size_t all_steps() const { return epoch * steps + step; }
};

/// Something that happens beside the steps. Callbacks are called in the order in which they were
/// given; an error ends the loop.
class Callback {
 public:
  virtual ~Callback() = default;

  virtual absl::Status BeginEpoch(LoopState& /*state*/) { return absl::OkStatus(); }
  virtual void BeforeStep(LoopState& /*state*/) {}
  virtual void AfterStep(LoopState& /*state*/) {}
  virtual absl::Status AfterEpoch(LoopState& /*state*/) { return absl::OkStatus(); }

  /// What a resumed run needs of it, by name; Load takes what State gave.
  virtual std::map<std::string, torch::Tensor> State() const { return {}; }
  virtual absl::Status Load(const std::map<std::string, torch::Tensor>& /*state*/) {
    return absl::OkStatus();
  }
};

}  // namespace orchard::training
