#pragma once

#include "nets/sparse/token_router.h"

/// \file
/// Routers whose decision for a token is a function of that token alone, without noise.

namespace orchard::nets {

/// The map from tokens to logits that a kind has. Submodules: `gate` (a linear map without bias for
/// kCosineToken), for kMlp `hidden` before it; for kCrossAttention `query`, `key` and `experts`.
struct RouterLogitsImpl final : torch::nn::Module {
  explicit RouterLogitsImpl(const RouterOptions& options);

  /// tokens [n, D] → [n, E]. Autocast is off inside.
  torch::Tensor forward(const torch::Tensor& tokens);

  torch::nn::Linear gate{nullptr}, hidden{nullptr}, query{nullptr}, key{nullptr};
  torch::Tensor experts;  ///< [E, D], kCrossAttention

 private:
  RouterKind kind_;
  int64_t heads_;
  double scale_;
};
TORCH_MODULE(RouterLogits);

/// The k largest of `probabilities` [n, E] and their weights, divided by their sum or as they are.
Assignment ChooseTopK(const torch::Tensor& probabilities, int64_t k, bool renormalise);

/// kLinear, kCosineToken, kSwitch, kMlp, kCrossAttention.
struct PlainRouter final : TokenRouterImpl {
  explicit PlainRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;
  torch::Tensor ExpertEmbeddings() const override;

  RouterLogits logits{nullptr};
};

/// kLossFree: selection by s + bias, weights from s. The bias is a buffer, moved by Balance() and
/// frozen in evaluation.
struct LossFreeRouter final : TokenRouterImpl {
  explicit LossFreeRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;

  /// bias_e += u · sign(mean load - load_e).
  void Balance(const torch::Tensor& load) override;

  RouterLogits logits{nullptr};
  torch::Tensor bias;  ///< [E]
};

}  // namespace orchard::nets
