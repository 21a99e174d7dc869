#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <torch/nn.h>

#include "nets/sparse/token_layer.h"

namespace orchard::nets {

/// Where γ and β of a feature-modulated expert come from and act (models.md section 6.1).
enum class FmeKind : std::uint8_t {
  kStatic,   ///< learned vectors, before F
  kCond,     ///< γ = A x + a, β = B x + b, before F (the released code)
  kLowRank,  ///< vectors plus U V x, before F
  kHidden,   ///< vectors on the M hidden units, mixed before GELU
  kAfter,    ///< vectors on F(x): linear in the weights, so the weakest
};

/// "static", "cond", …
std::string_view NameOf(FmeKind kind);

struct FmeOptions {
  FmeKind kind = FmeKind::kStatic;
  int64_t width = 0;           ///< D
  int64_t hidden = 0;          ///< M, from 1 to 65,536
  int64_t rank = 8;            ///< r of kLowRank, from 1 to D
  double dropout = 0.0;        ///< after F
  bool pre_transform = false;  ///< x~ = GELU(L1 LN(x)) · (L2 LN(x)) as released; else x~ = x
};

std::vector<std::string> Faults(const FmeOptions& options);

/// Parameters of the layer with its router of E experts (linear, with bias); norms aside.
int64_t ParameterCount(const FmeOptions& options, int64_t experts);

/// Multiply-adds of one token when K of E experts are taken.
int64_t MultiplyAdds(const FmeOptions& options, int64_t experts, int64_t top_k);

/// One FFN F for all experts; an expert is an affine modulation:
///
///   y = F( Σ_i r_i(x) [γ_i · x~ + β_i] )         mixed first, then one FFN a token
///
/// `static` is one product of the weights [n, E] with Γ [E, D] and one with B. Only the K chosen
/// experts weigh; `cond` and `lowrank` run those alone. At the start γ is 1 and β 0, so every kind
/// begins as a plain FFN.
/// Submodules: `router`, `ffn`, then by kind parameters `gamma`, `beta` [E, D or M], and `cond.N`,
/// or `gamma_up`, `gamma_down`, `beta_up`, `beta_down`; `norm`, `l1`, `l2` of the pre-transform.
/// Source: Zhang et al., "Efficient deweather mixture-of-experts with uncertainty-aware
/// feature-wise linear modulation", AAAI 2024 (arXiv:2312.16610). Not taken over from the released
/// code: its expert index starts at 2 in a list that holds other layers (the last expert never
/// learns), idle norms, and every expert running on every token.
struct ModulatedFfn final : TokenLayerImpl {
  ModulatedFfn(TokenRouter given, const FmeOptions& options);
  TokenLayerOutput forward(const torch::Tensor& x) override;
  TokenRouterImpl* Router() override { return router.get(); }

  TokenRouter router;
  Ffn ffn{nullptr};
  torch::Tensor gamma, beta;
  torch::nn::ModuleList cond{nullptr};                     ///< of Linear(D, 2D): A, B
  torch::Tensor gamma_up, gamma_down, beta_up, beta_down;  ///< [E, D, r], [E, r, D] …
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear l1{nullptr}, l2{nullptr};

 private:
  torch::Tensor Modulate(const torch::Tensor& tokens, const torch::Tensor& moved,
                         const Assignment& chosen);

  FmeOptions options_;
};

}  // namespace orchard::nets
