#pragma once

#include <cstdint>
#include <memory>

#include <torch/nn.h>

#include "nets/sparse/choice_routers.h"
#include "nets/sparse/dispatch.h"
#include "nets/sparse/token_router.h"

/// \file
/// What stands where a transformer's FFN stands: one FFN, experts, or soft experts.

namespace orchard::nets {

/// x [.., D] ─ Linear(D, M) ─ GELU (erf) ─ Linear(M, D) ─ dropout. Parameters: 2DM + M + D.
struct FfnImpl final : torch::nn::Module {
  FfnImpl(int64_t width, int64_t hidden, double dropout);
  torch::Tensor forward(const torch::Tensor& x);

  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::Dropout drop{nullptr};
};
TORCH_MODULE(Ffn);

/// What a layer gives: the increment of the stream, and how it was routed (all undefined where
/// nothing is chosen).
struct TokenLayerOutput {
  torch::Tensor y{};  ///< [B, T, D]
  Routing routing{};
};

struct TokenLayerImpl : torch::nn::Module {
  /// x [B, T, D], already normalised.
  virtual TokenLayerOutput forward(const torch::Tensor& x) = 0;

  /// Its router; null where nothing is chosen.
  virtual TokenRouterImpl* Router() { return nullptr; }
};
using TokenLayer = std::shared_ptr<TokenLayerImpl>;

/// One FFN for all tokens: submodule `ffn`.
struct DenseFfn final : TokenLayerImpl {
  DenseFfn(int64_t width, int64_t hidden, double dropout);
  TokenLayerOutput forward(const torch::Tensor& x) override;

  Ffn ffn{nullptr};
};

/// How a mixture runs its experts.
enum class ExpertWay : std::uint8_t {
  kByDevice,  ///< kChosen on the CPU, kTogether elsewhere
  kChosen,    ///< Dispatch: each expert on its tokens alone
  kTogether,  ///< RunTogether: all experts on all tokens, in two large products
};

/// A plain mixture: every token goes through its experts alone. Submodules `router`, `experts.N`.
struct SparseFfn final : TokenLayerImpl {
  SparseFfn(TokenRouter given, int64_t hidden, double dropout, DispatchOptions how = {});
  TokenLayerOutput forward(const torch::Tensor& x) override;
  TokenRouterImpl* Router() override { return router.get(); }

  TokenRouter router;
  torch::nn::ModuleList experts{nullptr};  ///< of Ffn
  DispatchOptions dispatch;
  ExpertWay way = ExpertWay::kByDevice;
};

/// What Dispatch gives, from one FFN of E · M hidden units, those of expert e weighed by its gate:
///
///   y = [g_e · gelu(x W1_eᵀ + b1_e)]_e · [W2_e]_eᵀ + g · [b2_e]_e
///
/// E / K times the multiply-adds, but two products of one shape, a handful of kernels, and nothing
/// that the host must know: faster on a GPU, where Dispatch waits for the counts of tokens and
/// starts dozens of small kernels a layer. Differs from Dispatch in two things while training:
/// dropout falls on the sum and not on each expert's result, and an expert without tokens gets a
/// gradient of zeros instead of none. `experts` of Ffn; x [n, D], `weights` [n, E] (FullWeights) →
/// [n, D].
torch::Tensor RunTogether(const torch::nn::ModuleList& experts, const torch::Tensor& x,
                          const torch::Tensor& weights);

/// Soft mixture (arXiv:2308.00951): experts run on slots, each a mixture of a picture's tokens.
struct SoftFfn final : TokenLayerImpl {
  SoftFfn(int64_t width, int64_t experts, int64_t slots_each, int64_t hidden, double dropout);
  TokenLayerOutput forward(const torch::Tensor& x) override;

  SoftRouter router{nullptr};
  torch::nn::ModuleList experts{nullptr};
};

/// [E, E]: mean ‖o_i - o_j‖² over ½ mean(‖o_i‖² + ‖o_j‖²), `outputs` [E, n, D] of all experts on
/// the same tokens: 0 for copies, 2 for orthogonal outputs (models.md section 4.1, redundancy).
torch::Tensor ExpertDistances(const torch::Tensor& outputs);

}  // namespace orchard::nets
