#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <torch/nn.h>

namespace orchard::training {

/// A parameter under its name, with the peak of its own learning rate.
struct TrainedParameter {
  std::string name;
  torch::Tensor value;
  double rate = 0.0;
  /// Whether weight decay is for it. By default of matrices and kernels; a network says otherwise
  /// of tokens, positions and the like.
  bool decays = value.dim() >= 2;
};

/// Parameters of `module` that want gradients, by name in name order; `rate(name, value)` gives
/// each its peak.
template <typename Rate>
std::vector<TrainedParameter> TrainedParameters(const torch::nn::Module& module, const Rate& rate) {
  std::vector<TrainedParameter> parameters;
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    parameters.push_back(
        {.name = item.key(), .value = item.value(), .rate = rate(item.key(), item.value())});
  }
  return parameters;
}

/// How an optimiser or an average goes over its tensors.
enum class StepWay : std::uint8_t {
  kByDevice,  ///< kEach on the CPU, kTogether elsewhere
  kEach,      ///< one tensor after the other, each while it is in the cache
  kTogether,  ///< every operation on all tensors at once: a dozen kernels instead of thousands
};

/// Whether `parameters`, all on one device, are to be gone over together.
inline bool Together(StepWay way, const std::vector<TrainedParameter>& parameters) {
  if (parameters.empty()) return false;
  const bool elsewhere = !parameters.front().value.device().is_cpu();
  return way == StepWay::kTogether || (way == StepWay::kByDevice && elsewhere);
}

/// Adam with decoupled weight decay, on what `decays` alone.
/// Ours, and not torch::optim::AdamW, because its state has names: a checkpoint is read by them.
/// A parameter without a gradient is left alone altogether: neither moments nor decay move it, and
/// its bias correction counts its own steps. So an expert without pictures in a batch stays bitwise
/// as it was (models.md section 2.5, trap a). Source: Loshchilov and Hutter 2019
/// (arXiv:1711.05101); betas .9 and .999, eps 1e-8.
class AdamW {
 public:
  /// Both ways of `way` are one arithmetic, to the last bit on a CPU.
  AdamW(std::vector<TrainedParameter> parameters, double weight_decay,
        StepWay way = StepWay::kByDevice);

  /// Scales all gradients down so that their joint norm is at most `limit`. Returns the norm.
  double ClipGradients(double limit);

  /// One step at `factor` times the peak rates; forgets the gradients.
  void Step(double factor);

  const std::vector<TrainedParameter>& parameters() const { return parameters_; }

  /// Moments, step counts and rates by name, for a checkpoint; Load takes what State gave. Errors:
  /// FAILED_PRECONDITION naming what is missing or has another shape, before anything is changed.
  std::map<std::string, torch::Tensor> State() const;
  absl::Status Load(const std::map<std::string, torch::Tensor>& state);

 private:
  struct Moments {
    torch::Tensor first, second;
    int64_t steps = 0;
  };

  void StepEach(double factor);
  void StepTogether(double factor);

  std::vector<TrainedParameter> parameters_;
  std::vector<Moments> moments_;
  double weight_decay_;
  bool together_;
};

}  // namespace orchard::training
