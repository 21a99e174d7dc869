#include "training/loop/callbacks.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/text.h"
#include "model/torch_state.h"

namespace orchard::training {

absl::Status ShowProgress::BeginEpoch(LoopState& state) {
  progress_ =
      std::make_unique<Progress>(absl::StrCat(state.title, " ", state.epoch + 1, "/", state.epochs),
                                 state.steps, static_cast<double>(state.pictures), "pictures");
  return absl::OkStatus();
}

void ShowProgress::AfterStep(LoopState& state) {
  if (!last_line_ && state.step + 1 == state.steps) return;
  progress_->Update(state.step + 1, absl::StrFormat("loss %.4f", state.mean_loss));
}

absl::Status ShowProgress::AfterEpoch(LoopState& /*state*/) {
  progress_.reset();
  return absl::OkStatus();
}

std::string EpochLine(const LoopState& state) {
  std::string line = absl::StrFormat("%s %d/%d  loss %.4f", state.title, state.epoch + 1,
                                     state.epochs, state.mean_loss);
  if (state.terms.size() > 1) {
    absl::StrAppend(&line, " (",
                    absl::StrJoin(state.terms, ", ",
                                  [](auto* out, const auto& term) {
                                    absl::StrAppendFormat(out, "%s %.4f", term.first, term.second);
                                  }),
                    ")");
  }
  if (state.validated) absl::StrAppendFormat(&line, "  validation %.4f", state.validation);
  for (const auto& [name, value] : state.measures) {
    absl::StrAppendFormat(&line, ", %s %.4f", name, value);
  }
  absl::StrAppendFormat(&line, "  rate x %.4f  %.0f pictures/s  %.1f s", state.rate_factor,
                        state.pictures_per_second(), state.seconds);
  return line;
}

absl::Status SayEpoch::AfterEpoch(LoopState& state) {
  std::fprintf(stderr, "%s\n", EpochLine(state).c_str());
  std::fflush(stderr);
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

absl::Status KeepBest::AfterEpoch(LoopState& state) {
  if (!state.validated || (epoch_ > 0 && !(state.validation >= best_))) return absl::OkStatus();
  best_ = state.validation;
  epoch_ = static_cast<int64_t>(state.epoch + 1);
  std::optional<Averaged> averaged;
  if (average_ != nullptr) averaged.emplace(*average_);
  return WriteNetwork(file_, module_);
}

std::map<std::string, torch::Tensor> KeepBest::State() const {
  return {{"best", torch::tensor({std::bit_cast<int64_t>(best_)}, torch::kLong)},
          {"epoch", torch::tensor({epoch_}, torch::kLong)}};
}

absl::Status KeepBest::Load(const std::map<std::string, torch::Tensor>& state) {
  const auto best = state.find("best"), epoch = state.find("epoch");
  if (best == state.end() || epoch == state.end()) return absl::OkStatus();  // Saved without it.
  best_ = std::bit_cast<double>(best->second.item<int64_t>());
  epoch_ = epoch->second.item<int64_t>();
  return absl::OkStatus();
}

absl::Status TimeLimit::BeginEpoch(LoopState& /*state*/) {
  if (last_ < 0.0) last_ = elapsed_();
  return absl::OkStatus();
}

absl::Status TimeLimit::AfterEpoch(LoopState& state) {
  const double now = elapsed_();
  slowest_ = std::max(0.9 * slowest_, now - last_);  // With what came after the epoch before.
  last_ = now;
  if (seconds_ <= 0.0 || state.epoch + 1 >= state.epochs) return absl::OkStatus();
  reached_ = now + slowest_ > seconds_;
  state.stop = state.stop || reached_;
  return absl::OkStatus();
}

absl::Status Checkpointing::AfterEpoch(LoopState& state) {
  const size_t done = state.epoch + 1;
  const bool last = done == state.epochs || state.stop;
  return last || done % std::max<size_t>(parts_.every, 1) == 0 ? Save(done) : absl::OkStatus();
}

absl::Status WriteNetwork(const std::filesystem::path& file, const torch::nn::Module& module) {
  return core::WriteFile(
      file, model::SerialiseSafetensors(model::StateOf(module, "", model::Precision::kHalf)));
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
