#include "training/loop/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <ATen/autocast_mode.h>
#include <torch/utils.h>
#include <torch/version.h>

#include "core/status.h"
#include "nets/guarded.h"
#include "training/training.h"

namespace orchard::training {
namespace {

using Terms = std::vector<std::pair<std::string, double>>;
using Clock = std::chrono::steady_clock;

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void AutocastToBf16(const torch::Device& device) {
  at::autocast::set_autocast_dtype(device.type(), at::kBFloat16);
}
void EnableAutocast(const torch::Device& device, bool on) {
  at::autocast::set_autocast_enabled(device.type(), on);
}
#else
void AutocastToBf16(const torch::Device& device) {
  if (device.is_cuda()) at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
  if (!device.is_cuda()) at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
}
void EnableAutocast(const torch::Device& device, bool on) {
  if (device.is_cuda()) at::autocast::set_enabled(on);
  if (!device.is_cuda()) at::autocast::set_cpu_enabled(on);
}
#endif

/// Autocast to BF16 for a scope of this thread.
class Autocast {
 public:
  Autocast(Arithmetic arithmetic, const torch::Device& device)
      : on_(arithmetic == Arithmetic::kBf16), device_(device) {
    if (!on_) return;
    AutocastToBf16(device_);
    EnableAutocast(device_, true);
  }
  ~Autocast() {
    if (!on_) return;
    EnableAutocast(device_, false);
    at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
  torch::Device device_;
};

/// The means of an epoch's steps.
class Means {
 public:
  void Add(double loss, const Terms& terms) {
    ++steps_;
    loss_ += loss;
    for (const auto& [name, value] : terms) {
      const auto found = std::ranges::find(sums_, name, &Terms::value_type::first);
      if (found == sums_.end()) {
        sums_.emplace_back(name, value);
        counts_.push_back(1);
      } else {
        found->second += value;
        ++counts_[static_cast<size_t>(found - sums_.begin())];
      }
    }
  }
  double loss() const { return loss_ / static_cast<double>(steps_); }
  Terms terms() const {  // A term that a batch doesn't have counts in the batches that have it.
    Terms means = sums_;
    for (size_t i = 0; i < means.size(); ++i) means[i].second /= counts_[i];
    return means;
  }

 private:
  size_t steps_ = 0;
  double loss_ = 0.0;
  Terms sums_;
  std::vector<double> counts_;
};

absl::Status NotFinite(const char* what, double value, const LoopState& state, const Terms& terms) {
  const std::string list = absl::StrJoin(terms, ", ", [](std::string* out, const auto& term) {
    absl::StrAppend(out, term.first, " ", term.second);
  });
  return absl::FailedPreconditionError(absl::StrCat(
      state.title, " ", state.epoch + 1, " of ", state.epochs, ", step ", state.step + 1, " of ",
      state.steps, ": ", what, " is ", value, " (terms: ", list,
      "); the training diverged, and what was saved last is kept. A lower rate, a longer "
      "warm-up or clipping (optimisation.gradient_norm) may help"));
}

class Loop {
 public:
  Loop(Task& task, Model& model, AdamW& optimiser, std::span<Callback* const> callbacks,
       const LoopOptions& options)
      : task_(task),
        model_(model),
        optimiser_(optimiser),
        callbacks_(callbacks),
        options_(options) {
    const size_t accumulate = std::max<size_t>(options.accumulate, 1);
    state_.title = options.title;
    state_.epochs = options.epochs;
    state_.steps = std::max<size_t>(task.steps() / accumulate, 1);
    batches_ = std::min(accumulate, task.steps());
    state_.pictures = task.batch() * batches_;
  }

  absl::Status Epoch(size_t epoch) {
    torch::manual_seed(Mix(options_.seed, epoch));
    state_.epoch = epoch;
    state_.step = 0;
    state_.validated = false;
    state_.measures.clear();
    state_.expert_load.clear();
    const Clock::time_point begun = Clock::now();
    task_.BeginEpoch(epoch);
    for (Callback* callback : callbacks_) ORCHARD_RETURN_IF_ERROR(callback->BeginEpoch(state_));
    Means means;
    for (; state_.step < state_.steps; ++state_.step) {
      for (Callback* callback : callbacks_) callback->BeforeStep(state_);
      Terms terms;
      ORCHARD_RETURN_IF_ERROR(Step(terms));
      means.Add(state_.loss, terms);
      state_.mean_loss = means.loss();
      state_.terms = means.terms();
      for (Callback* callback : callbacks_) callback->AfterStep(state_);
    }
    state_.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    for (Callback* callback : callbacks_) ORCHARD_RETURN_IF_ERROR(callback->AfterEpoch(state_));
    return absl::OkStatus();
  }

  bool stopped() const { return state_.stop; }

 private:
  absl::Status Step(Terms& terms) {
    state_.loss = 0.0;
    for (size_t b = 0; b < batches_; ++b) {
      ORCHARD_RETURN_IF_ERROR(Learn(task_.Next().To(options_.device), terms));
    }
    const double limit = options_.gradient_norm > 0.0 ? options_.gradient_norm
                                                      : std::numeric_limits<double>::infinity();
    state_.gradient_norm = optimiser_.ClipGradients(limit);
    if (!std::isfinite(state_.gradient_norm)) {
      return NotFinite("the norm of the gradients", state_.gradient_norm, state_, terms);
    }
    optimiser_.Step(state_.rate_factor);
    return absl::OkStatus();
  }

  /// One batch forwards and backwards.
  absl::Status Learn(const Batch& batch, Terms& terms) {
    model_.TrainMode();
    absl::StatusOr<LossTerms> loss;
    torch::Tensor total;
    {
      const Autocast autocast(options_.arithmetic, options_.device);
      loss = model_.Loss(batch);
      if (!loss.ok()) return loss.status();
      total = loss->Total();
    }
    if (batches_ > 1) total = total / static_cast<double>(batches_);
    total.backward();
    model_.FinishBackward();
    // The host reads only now: on a GPU it waits here for all that it has queued, and until then it
    // queues without a pause.
    terms = loss->Values();
    const double value = total.item<double>();
    if (!std::isfinite(value)) return NotFinite("the loss", value, state_, terms);
    state_.loss += value;
    return absl::OkStatus();
  }

  Task& task_;
  Model& model_;
  AdamW& optimiser_;
  std::span<Callback* const> callbacks_;
  const LoopOptions& options_;
  size_t batches_ = 1;  // a step
  LoopState state_;
};

}  // namespace

absl::Status RunLoop(Task& task, Model& model, AdamW& optimiser,
                     std::span<Callback* const> callbacks, const LoopOptions& options) {
  return nets::Guarded("training", [&]() -> absl::Status {
    Loop loop(task, model, optimiser, callbacks, options);
    for (size_t epoch = options.first_epoch; epoch < options.epochs && !loop.stopped(); ++epoch) {
      ORCHARD_RETURN_IF_ERROR(loop.Epoch(epoch));
    }
    return absl::OkStatus();
  });
}

}  // namespace orchard::training
