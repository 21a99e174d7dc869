#include "nets/sparse/router_losses.h"

#include <algorithm>

#include <torch/torch.h>

namespace orchard::nets {
namespace {

/// The weight that each expert gives, summed over tokens [E].
torch::Tensor GivenWeight(const Routing& routing) {
  const Assignment& chosen = routing.assignment;
  return torch::zeros_like(routing.probabilities)
      .scatter_add(1, chosen.experts.clamp_min(0), chosen.weights)
      .sum(0);
}

}  // namespace

torch::Tensor LoadShares(const torch::Tensor& experts, int64_t count) {
  // By comparison and not by bincount, which on a GPU makes the host wait for its largest entry.
  const torch::Tensor counts = experts.flatten()
                                   .unsqueeze(1)
                                   .eq(torch::arange(count, experts.options()))
                                   .sum(0)
                                   .to(torch::kFloat32);
  return counts / counts.sum().clamp_min(1.0);
}

torch::Tensor SwitchBalance(const torch::Tensor& shares, const torch::Tensor& importance) {
  const auto experts = static_cast<double>(importance.size(0));
  return experts * (shares.to(importance.scalar_type()) * importance).sum();
}

torch::Tensor CvSquared(const torch::Tensor& values) {
  return values.var(/*unbiased=*/false) / values.mean().square().clamp_min(1e-10);
}

torch::Tensor RouterZ(const torch::Tensor& logits) { return logits.logsumexp(-1).square().mean(); }

std::vector<LossTerm> RouterTerms(const TokenRouterImpl& router, const Routing& routing,
                                  const RouterLossWeights& weights) {
  std::vector<LossTerm> terms;
  const auto add = [&terms](const char* name, double weight, auto value) {
    if (weight != 0.0) terms.push_back({.name = name, .value = value(), .weight = weight});
  };
  switch (router.options.kind) {
    case RouterKind::kExpertChoice:
    case RouterKind::kLossFree:
      break;
    case RouterKind::kNoisyTopK:
      add("importance", weights.balance, [&] { return CvSquared(GivenWeight(routing)); });
      break;
    case RouterKind::kVMoe:
    case RouterKind::kVMoeBpr:
      add("importance", weights.balance,
          [&] { return CvSquared(routing.logits.softmax(-1).sum(0)); });
      break;
    default:
      add("balance", weights.balance, [&] {
        const torch::Tensor shares = LoadShares(routing.assignment.experts, router.options.experts);
        return SwitchBalance(shares, routing.probabilities.mean(0));
      });
  }
  if (routing.smooth_load.defined()) {
    add("load", weights.balance, [&] { return CvSquared(routing.smooth_load); });
  }
  add("router_z", weights.z, [&] { return RouterZ(routing.logits); });
  const torch::Tensor embeddings = router.ExpertEmbeddings();
  if (embeddings.defined()) add("router_norm", weights.norm, [&] { return embeddings.norm(); });
  return terms;
}

std::vector<LossTerm> MeanTerms(const std::vector<std::vector<LossTerm>>& layers) {
  std::vector<LossTerm> sums;
  for (const auto& layer : layers) {
    for (const LossTerm& term : layer) {
      const auto known = std::ranges::find(sums, term.name, &LossTerm::name);
      if (known == sums.end()) {
        sums.push_back(term);
      } else {
        known->value = known->value + term.value;
      }
    }
  }
  for (LossTerm& term : sums) term.value = term.value / static_cast<double>(layers.size());
  return sums;
}

}  // namespace orchard::nets
