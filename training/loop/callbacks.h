#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "training/log/progress.h"
#include "training/loop/average.h"
#include "training/loop/callback.h"
#include "training/loop/checkpoint.h"
#include "training/loop/schedule.h"

/// \file
/// What happens beside the steps of a loop, one thing a class. The usual order: ShowProgress,
/// FollowSchedule, Averaging, Validation, EarlyStop, Checkpointing, then what records.

namespace orchard::training {

/// Says on stderr how far an epoch is.
class ShowProgress final : public Callback {
 public:
  absl::Status BeginEpoch(LoopState& state) override;
  void AfterStep(LoopState& state) override;
  absl::Status AfterEpoch(LoopState& state) override;

 private:
  std::unique_ptr<Progress> progress_;
};

/// Sets each step's factor of the peak rates.
class FollowSchedule final : public Callback {
 public:
  explicit FollowSchedule(const Schedule& schedule) : schedule_(schedule) {}
  void BeforeStep(LoopState& state) override;

 private:
  Schedule schedule_;
};

/// Keeps an average of the weights up to date. `average` outlives it.
class Averaging final : public Callback {
 public:
  explicit Averaging(WeightAverage& average) : average_(average) {}
  void AfterStep(LoopState& /*state*/) override { average_.Update(); }

 private:
  WeightAverage& average_;
};

/// Measures after some epochs, on the averaged weights where there is an average.
class Validation final : public Callback {
 public:
  struct Options {
    size_t every = 1;  ///< epochs from one to the next
    size_t after = 0;  ///< epochs before the first
    size_t last = 0;   ///< the epoch, counted from 1, that always has one; 0: the loop's last
  };
  /// The larger the better; an absent one (there is nothing to measure on) is no validation.
  using Measure = std::function<absl::StatusOr<std::optional<double>>(const LoopState&)>;

  /// `average` may be null and outlives it.
  Validation(const Options& options, WeightAverage* average, Measure measure);
  absl::Status AfterEpoch(LoopState& state) override;

 private:
  Options options_;
  WeightAverage* average_;
  Measure measure_;
};

/// Ends the loop when `patience` validations in a row were not better than the best one.
class EarlyStop final : public Callback {
 public:
  explicit EarlyStop(size_t patience) : patience_(patience) {}
  absl::Status AfterEpoch(LoopState& state) override;
  bool stopped() const { return patience_ > 0 && worse_ >= static_cast<int64_t>(patience_); }
  std::map<std::string, torch::Tensor> State() const override;
  absl::Status Load(const std::map<std::string, torch::Tensor>& state) override;

 private:
  size_t patience_;
  double best_ = 0.0;
  int64_t worse_ = -1;  // Validations since the best; -1: none yet.
};

/// Saves after every epoch all that a resumed run needs: parameters and buffers under "network.",
/// the optimiser's state under "optimiser.", the average under "average.", what `others` keep under
/// "callback.<i>.", and "epoch", the epochs done. What it is given outlives it.
class Checkpointing final : public Callback {
 public:
  struct Parts {
    std::filesystem::path file;
    const torch::nn::Module* module = nullptr;
    AdamW* optimiser = nullptr;        ///< null before the first epoch
    WeightAverage* average = nullptr;  ///< as the optimiser
    std::vector<Callback*> others = {};
  };

  explicit Checkpointing(Parts parts) : parts_(std::move(parts)) {}

  /// Errors: WriteSnapshot's.
  absl::Status Save(size_t epochs_done) const;
  absl::Status AfterEpoch(LoopState& state) override { return Save(state.epoch + 1); }

  /// Takes the state of optimiser, average and callbacks from a snapshot that Save wrote; the
  /// network's is its study's to load. Returns the epochs done. Errors: FAILED_PRECONDITION naming
  /// a tensor that is missing or has another shape.
  absl::StatusOr<size_t> Restore(const Snapshot& saved);

 private:
  Parts parts_;
};

/// Parameters and buffers by name: what a checkpoint keeps of a network.
Snapshot StateOfModule(const torch::nn::Module& module);

/// The reverse. Errors: FAILED_PRECONDITION naming every tensor of the module's that `state` lacks
/// or has in another shape, before any is changed.
absl::Status LoadModule(torch::nn::Module& module, const Snapshot& state);

}  // namespace orchard::training
