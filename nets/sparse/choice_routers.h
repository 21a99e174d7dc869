#pragma once

#include "nets/sparse/plain_routers.h"

/// \file
/// Routers whose decision for a token depends on the tokens beside it: of the same picture, if an
/// answer is not to depend on the batch.

namespace orchard::nets {

/// Every expert takes its `k` best tokens. scores [n, E] → experts [n, E]: column e is e or -1,
/// weights are the scores of the chosen. Ties go to the earlier token.
Assignment ChooseTokens(const torch::Tensor& scores, int64_t k);

/// kExpertChoice: k = n · choices / E tokens an expert, at least 1, at most n.
struct ExpertChoiceRouter final : TokenRouterImpl {
  explicit ExpertChoiceRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;

  RouterLogits logits{nullptr};
};

/// How soft routing mixes the T tokens of each picture into S slots and the slots back.
struct SoftRouting {
  torch::Tensor dispatch;  ///< [B, T, S], columns sum to 1: slot = Σ_t dispatch · x_t
  torch::Tensor combine;   ///< [B, T, S], rows sum to 1: y_t = Σ_s combine · slot result
};

/// logits [B, T, S] → both softmaxes.
SoftRouting MixSoftly(const torch::Tensor& logits);

/// The `soft` router: logits = scale · x/‖x‖ · Φ/‖Φ‖, by picture. Source: arXiv:2308.00951. Nothing
/// is chosen, so it gives no Routing; slot s belongs to expert s / slots_each.
struct SoftRouterImpl final : torch::nn::Module {
  SoftRouterImpl(int64_t width, int64_t experts, int64_t slots_each);
  SoftRouting forward(const torch::Tensor& x);  ///< [B, T, D]

  torch::Tensor phi;    ///< [D, E · slots_each]
  torch::Tensor scale;  ///< []
};
TORCH_MODULE(SoftRouter);

}  // namespace orchard::nets
