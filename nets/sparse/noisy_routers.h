#pragma once

#include "nets/sparse/plain_routers.h"

/// \file
/// Routers that explore by noise while they train, and have none in evaluation.

namespace orchard::nets {

/// The probability, under a fresh draw of the noise, that an expert stays above a token's K-th
/// noisy logit, summed over tokens [E]: a load that has a gradient. All [n, E]; `sigma` broadcasts.
torch::Tensor SmoothLoad(const torch::Tensor& clean, const torch::Tensor& noisy,
                         const torch::Tensor& sigma, int64_t k);

/// Places under a capacity: all first choices before all second ones, tokens of higher `priority`
/// [n] first. What finds no place becomes -1. experts [n, K] → [n, K].
torch::Tensor KeepWithinCapacity(const torch::Tensor& experts, const torch::Tensor& priority,
                                 int64_t count, int64_t capacity);

/// kNoisyTopK: x W_g + ε (softplus(x W_n) + 1e-2), ε ~ N(0, 1).
struct NoisyTopKRouter final : TokenRouterImpl {
  explicit NoisyTopKRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;

  RouterLogits logits{nullptr}, noise{nullptr};
};

/// kVMoe and kVMoeBpr: softmax(W x + N(0, 1/E²)).
struct VMoeRouter final : TokenRouterImpl {
  explicit VMoeRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;

  RouterLogits logits{nullptr};
};

}  // namespace orchard::nets
