#include "training/loop/callbacks.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"

namespace orchard::training {

absl::Status ShowProgress::BeginEpoch(LoopState& state) {
  progress_ =
      std::make_unique<Progress>(absl::StrCat(state.title, " ", state.epoch + 1, "/", state.epochs),
                                 state.steps, static_cast<double>(state.pictures), "pictures");
  return absl::OkStatus();
}

void ShowProgress::AfterStep(LoopState& state) {
  progress_->Update(state.step + 1, absl::StrFormat("loss %.4f", state.mean_loss));
}

absl::Status ShowProgress::AfterEpoch(LoopState& /*state*/) {
  progress_.reset();
  return absl::OkStatus();
}

void FollowSchedule::BeforeStep(LoopState& state) {
  state.rate_factor = schedule_.Factor(state.all_steps());
}

Validation::Validation(const Options& options, WeightAverage* average, Measure measure)
    : options_(options), average_(average), measure_(std::move(measure)) {}

absl::Status Validation::AfterEpoch(LoopState& state) {
  const size_t done = state.epoch + 1;
  const size_t every = std::max<size_t>(options_.every, 1);
  const bool due = done > options_.after && (done - options_.after) % every == 0;
  const size_t last = options_.last > 0 ? options_.last : state.epochs;
  if (!due && done != last) return absl::OkStatus();
  std::optional<Averaged> averaged;
  if (average_ != nullptr) averaged.emplace(*average_);
  ORCHARD_ASSIGN_OR_RETURN(const std::optional<double> value, measure_(state));
  state.validated = value.has_value();
  if (value) state.validation = *value;
  return absl::OkStatus();
}

absl::Status EarlyStop::AfterEpoch(LoopState& state) {
  if (!state.validated) return absl::OkStatus();
  if (worse_ < 0 || state.validation > best_) {
    best_ = state.validation;
    worse_ = 0;
  } else {
    ++worse_;
  }
  state.stop = state.stop || stopped();
  return absl::OkStatus();
}

std::map<std::string, torch::Tensor> EarlyStop::State() const {
  // As an integer of its bits: snapshots hold FP32 and int64, and a rounded best would compare
  // otherwise after a resume.
  return {{"best", torch::tensor({std::bit_cast<int64_t>(best_)}, torch::kLong)},
          {"worse", torch::tensor({worse_}, torch::kLong)}};
}

absl::Status EarlyStop::Load(const std::map<std::string, torch::Tensor>& state) {
  const auto best = state.find("best"), worse = state.find("worse");
  if (best == state.end() || worse == state.end()) return absl::OkStatus();  // Saved without it.
  best_ = std::bit_cast<double>(best->second.item<int64_t>());
  worse_ = worse->second.item<int64_t>();
  return absl::OkStatus();
}

absl::Status Checkpointing::Save(size_t epochs_done) const {
  Snapshot snapshot;
  snapshot["epoch"] = torch::tensor({static_cast<int64_t>(epochs_done)}, torch::kLong);
  AddTo(snapshot, "network.", StateOfModule(*parts_.module));
  if (parts_.optimiser != nullptr) AddTo(snapshot, "optimiser.", parts_.optimiser->State());
  if (parts_.average != nullptr) AddTo(snapshot, "average.", parts_.average->State());
  for (size_t i = 0; i < parts_.others.size(); ++i) {
    AddTo(snapshot, absl::StrCat("callback.", i, "."), parts_.others[i]->State());
  }
  return WriteSnapshot(parts_.file, snapshot);
}

absl::StatusOr<size_t> Checkpointing::Restore(const Snapshot& saved) {
  const auto epoch = saved.find("epoch");
  if (epoch == saved.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat(parts_.file.string(), " says of no epoch that it was done: no checkpoint"));
  }
  const auto done = static_cast<size_t>(epoch->second.item<int64_t>());
  if (done == 0) return done;  // Saved before there was an optimiser.
  if (parts_.optimiser != nullptr) {
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(parts_.optimiser->Load(Under(saved, "optimiser.")), parts_.file.string()));
  }
  if (parts_.average != nullptr) {
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(parts_.average->Load(Under(saved, "average.")), parts_.file.string()));
  }
  for (size_t i = 0; i < parts_.others.size(); ++i) {
    ORCHARD_RETURN_IF_ERROR(
        parts_.others[i]->Load(Under(saved, absl::StrCat("callback.", i, "."))));
  }
  return done;
}

Snapshot StateOfModule(const torch::nn::Module& module) {
  Snapshot state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value();
  return state;
}

absl::Status LoadModule(torch::nn::Module& module, const Snapshot& state) {
  Snapshot own = StateOfModule(module);
  ORCHARD_RETURN_IF_ERROR(CheckShapes(state, own));
  const torch::NoGradGuard guard;
  for (auto& [name, tensor] : own) tensor.copy_(state.at(name));
  return absl::OkStatus();
}

}  // namespace orchard::training
