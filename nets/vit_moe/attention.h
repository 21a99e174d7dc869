#pragma once

#include <cstdint>

#include <torch/nn.h>

namespace orchard::nets {

/// softmax over keys of scale · q kᵀ. q [.., T, d], k [.., S, d] → [.., T, S].
torch::Tensor AttentionWeights(const torch::Tensor& q, const torch::Tensor& k, double scale);

struct AttentionOptions {
  int64_t width = 0;               ///< D
  int64_t heads = 1;               ///< h, a divisor of D
  double dropout = 0.0;            ///< after the projection
  double attention_dropout = 0.0;  ///< of the weights
  /// S2 multiplies by √d where the paper divides: 16 times too sharp at d = 16 (defect A1).
  bool multiplied_scale = false;
};

/// Multi-head self-attention.
///
///   x [B, T, D] ─ qkv Linear(D, 3D), order q, k, v, head-major ─ softmax(q kᵀ / √d) v ─ proj ─
///   dropout
///
/// Parameters: 4D² + 4D. Source: Vaswani et al. 2017 (arXiv:1706.03762). Submodule names are
/// timm's: `qkv`, `proj`.
struct SelfAttentionImpl final : torch::nn::Module {
  explicit SelfAttentionImpl(const AttentionOptions& options);
  torch::Tensor forward(const torch::Tensor& x);  ///< [B, T, D]

  torch::nn::Linear qkv{nullptr}, proj{nullptr};
  torch::nn::Dropout attention_drop{nullptr}, drop{nullptr};

 private:
  int64_t heads_;
  double scale_;
};
TORCH_MODULE(SelfAttention);

/// Normal values of standard deviation `std`; one in twenty, beyond two of them, is folded back by
/// 2 `std`, which draws nothing a second time.
void TruncatedNormal(torch::Tensor tensor, double std);

}  // namespace orchard::nets
