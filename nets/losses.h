#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <torch/types.h>

namespace orchard::nets {

/// One named part of what is minimised: the sum of weight · value over all terms. Names are those
/// of logs and charts, so that no term hides in another.
struct LossTerm {
  std::string name{};
  torch::Tensor value{};  ///< []
  double weight = 1.0;
};

/// Σ weight · value; a zero without gradient when there are no terms.
torch::Tensor Total(const std::vector<LossTerm>& terms);

/// Two conventions of label smoothing, K classes.
enum class Smoothing : std::uint8_t {
  kOthers,   ///< 1 - ε for the label, ε / (K - 1) for each of the others (S2)
  kUniform,  ///< 1 - ε + ε / K for the label, ε / K for the others (LibTorch)
};

/// labels [N] int64 → target distributions [N, K], float32.
torch::Tensor SmoothTargets(const torch::Tensor& labels, int64_t classes, double epsilon,
                            Smoothing form);

/// The same of targets [N, K] that are distributions already, mixed ones too.
torch::Tensor SmoothTargets(const torch::Tensor& targets, double epsilon, Smoothing form);

/// Mean over pictures of -Σ_k target · log_softmax(logits). logits [N, K], targets [N, K].
torch::Tensor SoftCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets);

/// The ε with which `kUniform` does what `kOthers` does with `epsilon`: ε K / (K - 1).
double UniformEpsilon(double epsilon, int64_t classes);

/// The least value that a smoothed cross-entropy of form `kOthers` can take: the targets' entropy.
double LeastSmoothedLoss(double epsilon, int64_t classes);

}  // namespace orchard::nets
