#pragma once

#include <vector>

#include "nets/losses.h"
#include "nets/sparse/token_router.h"

/// \file
/// Terms that keep routers useful, each by its own name (models.md sections 3.4, 3.5 and 4.2).

namespace orchard::nets {

/// f [E]: the share of picks that went to each expert; empty places don't count. No gradient.
torch::Tensor LoadShares(const torch::Tensor& experts, int64_t count);

/// E · Σ f_e P_e (Switch). 1 says little: with uniform P it is 1 for every f.
torch::Tensor SwitchBalance(const torch::Tensor& shares, const torch::Tensor& importance);

/// Population variance / mean², of loads or importances [E].
torch::Tensor CvSquared(const torch::Tensor& values);

/// Mean over tokens of logsumexp(z)², z [n, E] (arXiv:2202.08906).
torch::Tensor RouterZ(const torch::Tensor& logits);

struct RouterLossWeights {
  double balance = 1e-2;  ///< of `balance`, or of `importance` and `load` each
  double z = 1e-3;        ///< of `router_z`
  double norm = 0.0;      ///< of `router_norm`, ‖E_r‖_F, not squared (S2 adds it to the balance)
};

/// The terms of a router's kind for one layer, without those of weight 0: `balance` for kLinear,
/// kCosineToken, kSwitch, kMlp, kCrossAttention, kUncertain; `importance` and `load` for
/// kNoisyTopK, kVMoe and kVMoeBpr (`load` only while training); none of these for kExpertChoice and
/// kLossFree, which balance by construction.
std::vector<LossTerm> RouterTerms(const TokenRouterImpl& router, const Routing& routing,
                                  const RouterLossWeights& weights);

/// Terms of several layers by name: values averaged over `layers`, weights as they are.
std::vector<LossTerm> MeanTerms(const std::vector<std::vector<LossTerm>>& layers);

}  // namespace orchard::nets
