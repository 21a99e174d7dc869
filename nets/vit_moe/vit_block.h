#pragma once

#include "nets/vit_moe/vit_moe.h"

namespace orchard::nets {

/// How often the convolutional stem halves the side: log2 of the patch.
int StemHalvings(const VitOptions& options);

/// One block of a Vit: a residual stream in, a residual stream out.
struct VitBlockImpl : torch::nn::Module {
  virtual TokenLayerOutput forward(const torch::Tensor& x) = 0;  ///< [B, T, D]
  virtual TokenRouterImpl* Router() { return nullptr; }
};

/// x + attention(norm1(x)), then + FFN(norm2(x)): S2's expert, residuals and all.
struct TransformerBlockImpl final : torch::nn::Module {
  explicit TransformerBlockImpl(const VitOptions& options);
  torch::Tensor forward(const torch::Tensor& x);

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  SelfAttention attn{nullptr};
  Ffn mlp{nullptr};
};
TORCH_MODULE(TransformerBlock);

/// S2's block, defects A1 to A4 included. Submodules `router`, `experts.N`.
struct ParityBlockImpl final : VitBlockImpl {
  explicit ParityBlockImpl(const VitOptions& options);
  TokenLayerOutput forward(const torch::Tensor& x) override;
  TokenRouterImpl* Router() override { return router.get(); }

  TokenRouter router;
  torch::nn::ModuleList experts{nullptr};

 private:
  double drop_path_;
};

/// Submodules `norm1`, `attn`, `norm2`, `mlp`.
struct CorrectedBlockImpl final : VitBlockImpl {
  CorrectedBlockImpl(const VitOptions& options, double drop_path);
  TokenLayerOutput forward(const torch::Tensor& x) override;
  TokenRouterImpl* Router() override { return mlp->Router(); }

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  SelfAttention attn{nullptr};
  TokenLayer mlp;

 private:
  double drop_path_;
};

}  // namespace orchard::nets
