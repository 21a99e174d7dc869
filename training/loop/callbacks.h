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
/// FollowSchedule, Averaging, Validation, KeepBest, EarlyStop, TimeLimit, what records,
/// Checkpointing last: what it saves is what a resumed run goes on from.

namespace orchard::training {

/// Says on stderr how far an epoch is.
class ShowProgress final : public Callback {
 public:
  /// `last_line`: whether an epoch's end has a line too; not where SayEpoch says more.
  explicit ShowProgress(bool last_line = true) : last_line_(last_line) {}
  absl::Status BeginEpoch(LoopState& state) override;
  void AfterStep(LoopState& state) override;
  absl::Status AfterEpoch(LoopState& state) override;

 private:
  bool last_line_;
  std::unique_ptr<Progress> progress_;
};

/// Says on stderr in one line what an epoch gave: losses, validation, rate, pictures a second.
class SayEpoch final : public Callback {
 public:
  absl::Status AfterEpoch(LoopState& state) override;
};

/// That line.
std::string EpochLine(const LoopState& state);

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
  /// The larger the better; an absent one (there is nothing to measure on) is no validation. May
  /// add to the state's `measures`.
  using Measure = std::function<absl::StatusOr<std::optional<double>>(LoopState&)>;

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

/// Writes the network (its average where there is one) whenever a validation is the best so far,
/// the later one of equals: model::StateOf, matrices rounded to FP16. What it is given outlives it.
class KeepBest final : public Callback {
 public:
  /// `average` may be null.
  KeepBest(std::filesystem::path file, const torch::nn::Module& module, WeightAverage* average)
      : file_(std::move(file)), module_(module), average_(average) {}

  /// Errors: WriteNetwork's.
  absl::Status AfterEpoch(LoopState& state) override;
  std::map<std::string, torch::Tensor> State() const override;
  absl::Status Load(const std::map<std::string, torch::Tensor>& state) override;

  size_t epoch() const { return static_cast<size_t>(epoch_); }  ///< of the best, from 1; 0: none
  double best() const { return best_; }

 private:
  std::filesystem::path file_;
  const torch::nn::Module& module_;
  WeightAverage* average_;
  double best_ = 0.0;
  int64_t epoch_ = 0;
};

/// Ends the loop with the epoch after which the next one would pass the limit: at the pace of the
/// slowest so far, each later epoch making it count a tenth less.
class TimeLimit final : public Callback {
 public:
  /// Seconds since the run began.
  using Elapsed = std::function<double()>;

  /// `seconds`: 0: no limit.
  TimeLimit(double seconds, Elapsed elapsed) : seconds_(seconds), elapsed_(std::move(elapsed)) {}
  absl::Status BeginEpoch(LoopState& state) override;
  absl::Status AfterEpoch(LoopState& state) override;
  bool reached() const { return reached_; }

 private:
  double seconds_;
  Elapsed elapsed_;
  double last_ = -1.0;  // When the epoch before had ended; -1: there was none.
  double slowest_ = 0.0;
  bool reached_ = false;
};

/// Saves after epochs all that a resumed run needs: parameters and buffers under "network.",
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
    size_t every = 1;  ///< epochs from one to the next; the loop's last always is saved
  };

  explicit Checkpointing(Parts parts) : parts_(std::move(parts)) {}

  /// Errors: WriteSnapshot's.
  absl::Status Save(size_t epochs_done) const;
  absl::Status AfterEpoch(LoopState& state) override;

  /// Takes the state of optimiser, average and callbacks from a snapshot that Save wrote; the
  /// network's is its study's to load. Returns the epochs done. Errors: FAILED_PRECONDITION naming
  /// a tensor that is missing or has another shape.
  absl::StatusOr<size_t> Restore(const Snapshot& saved);

 private:
  Parts parts_;
};

/// Writes `module` as models hold it (model::StateOf, matrices in FP16), whole or not at all.
/// Errors: UNAVAILABLE naming the file.
absl::Status WriteNetwork(const std::filesystem::path& file, const torch::nn::Module& module);

/// Parameters and buffers by name: what a checkpoint keeps of a network.
Snapshot StateOfModule(const torch::nn::Module& module);

/// The reverse. Errors: FAILED_PRECONDITION naming every tensor of the module's that `state` lacks
/// or has in another shape, before any is changed.
absl::Status LoadModule(torch::nn::Module& module, const Snapshot& state);

}  // namespace orchard::training
