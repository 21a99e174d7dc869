#include "nets/losses.h"

#include <cmath>

#include <torch/torch.h>

namespace orchard::nets {

torch::Tensor Total(const std::vector<LossTerm>& terms) {
  torch::Tensor total = torch::zeros({});
  for (const LossTerm& term : terms) total = total + term.weight * term.value;
  return total;
}

torch::Tensor SmoothTargets(const torch::Tensor& targets, double epsilon, Smoothing form) {
  const auto k = static_cast<double>(targets.size(1));
  const double other = form == Smoothing::kOthers ? epsilon / (k - 1.0) : epsilon / k;
  const double label = form == Smoothing::kOthers ? 1.0 - epsilon : 1.0 - epsilon + epsilon / k;
  return targets * (label - other) + other;
}

torch::Tensor SmoothTargets(const torch::Tensor& labels, int64_t classes, double epsilon,
                            Smoothing form) {
  return SmoothTargets(torch::one_hot(labels, classes).to(torch::kFloat32), epsilon, form);
}

torch::Tensor SoftCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  return -(targets.to(logits.scalar_type()) * logits.log_softmax(-1)).sum(-1).mean();
}

double UniformEpsilon(double epsilon, int64_t classes) {
  return epsilon * static_cast<double>(classes) / static_cast<double>(classes - 1);
}

double LeastSmoothedLoss(double epsilon, int64_t classes) {
  if (epsilon <= 0.0) return 0.0;
  const double other = epsilon / static_cast<double>(classes - 1);
  return -(1.0 - epsilon) * std::log(1.0 - epsilon) - epsilon * std::log(other);
}

}  // namespace orchard::nets
