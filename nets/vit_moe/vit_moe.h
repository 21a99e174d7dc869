#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/losses.h"
#include "nets/mofme/modulated_ffn.h"
#include "nets/sparse/router_losses.h"
#include "nets/sparse/token_layer.h"
#include "nets/vit_moe/attention.h"

namespace orchard::nets {

enum class VitMode : std::uint8_t {
  kParity,     ///< S2 as it is: experts are whole blocks, all of them run, defects A1 to A3
  kCorrected,  ///< shared attention, experts in place of the FFN, only the chosen run
};

/// What stands in place of a corrected block's FFN.
enum class VitLayer : std::uint8_t {
  kDense,      ///< one FFN: the plain vision transformer, the baseline
  kExperts,    ///< top-K experts
  kSoft,       ///< soft experts
  kModulated,  ///< feature-modulated experts (MoFME)
};

struct VitOptions {
  VitMode mode = VitMode::kCorrected;
  VitLayer layer = VitLayer::kExperts;  ///< kParity takes kExperts
  int64_t classes = 0;                  ///< from 2 to 65,536
  int64_t side = 32;                    ///< pixels, a multiple of the patch, at most 1,024
  int64_t patch = 4;                    ///< pixels, from 1 to 32; a power of two with the stem
  int64_t width = 192;                  ///< D
  int64_t layers = 9;                   ///< L, from 1 to 64
  int64_t heads = 12;                   ///< a divisor of D
  int64_t hidden = 384;                 ///< M of an FFN
  double dropout = 0.15;                ///< of positions, projections and FFNs, from 0 to .9
  double attention_dropout = 0.1;       ///< of attention weights
  double drop_path = 0.1;  ///< of the last block; kParity has it in all, kCorrected rises from 0
  bool convolutional_stem = false;  ///< 3×3 convolutions instead of one patch projection
  int64_t slots_each = 4;           ///< kSoft: slots an expert, from 1 to 1,024
  /// Experts, K and the router's kind; `width` is set from D, and kParity's kind is kCosineToken.
  RouterOptions router{.experts = 7, .top_k = 3, .bias = false};
  /// kModulated; `width`, `hidden` and `dropout` are set from the above.
  FmeOptions fme{};
};

/// What is wrong with `options`, one sentence each.
std::vector<std::string> Faults(const VitOptions& options);

struct VitOutput {
  torch::Tensor logits{};          ///< [B, classes]
  torch::Tensor features{};        ///< [B, D]: the class token after the last norm
  std::vector<Routing> routing{};  ///< of every layer that routes
};

/// A vision transformer with experts, at 32 × 32 pixels and patches of 4:
///
///   x [B,3,32,32] ─ patches ─ class token, positions ─► [B,65,192] ─ 9 blocks ─ norm ─ token 0 ─
///   head
///
///   parity block:     y = x + DropPath( Σ_k w_k Block_{i_k}(x) ), router on x, Block a whole
///   pre-norm
///                     transformer block with a residual of its own; the attention's logits are
///                     multiplied by √d
///   corrected block:  x += DropPath(attention(norm1(x))); x += DropPath(experts(norm2(x))), router
///   on
///                     norm2(x)
///
/// Parameters: parity 18,755,371 (43 classes), 18,749,002 (10); corrected 10,709,803 (43 classes),
/// of which a token uses 5,380,651. Names are timm's: `patch_embed.proj`, `cls_token`, `pos_embed`,
/// `blocks.N.norm1`, `.attn.qkv`, `.attn.proj`, `.norm2`, `.mlp`, `norm`, `head`.
/// Source: models.md section 3 (S2, `PMQ9/Mixture-of-Experts_Research` f434eaa); Dosovitskiy et al.
/// 2021 (arXiv:2010.11929); the stem is that of Xiao et al. 2021 (arXiv:2106.14881).
struct VitImpl final : torch::nn::Module {
  /// `options` without faults.
  explicit VitImpl(const VitOptions& options);

  VitOutput forward(const torch::Tensor& x);  ///< [B, 3, side, side], standardised

  /// The routers' terms, averaged over layers.
  std::vector<LossTerm> Terms(const VitOutput& output, const RouterLossWeights& weights) const;

  /// The router of each layer that routes.
  std::vector<TokenRouterImpl*> Routers() const;

  torch::nn::Sequential stem{nullptr};
  torch::nn::Conv2d proj{nullptr};
  torch::Tensor cls_token, pos_embed;
  torch::nn::Dropout drop{nullptr};
  torch::nn::ModuleList blocks{nullptr};  ///< of VitBlockImpl
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear head{nullptr};

 private:
  void Initialise();

  VitOptions options_;
};
TORCH_MODULE(Vit);

/// Errors: INVALID_ARGUMENT with every sentence of Faults.
absl::StatusOr<Vit> MakeVit(const VitOptions& options);

/// S2's weights of the router's terms: balance 1, and .03 of the unsquared norm of E_r, which it
/// adds to the "balance loss" (defect A5); here it has a name of its own.
RouterLossWeights ParityRouterWeights();

/// Parameters that work for one token: all but those of experts that are not chosen.
int64_t ActiveParameters(const VitOptions& options);

/// Multiply-adds of one picture: convolutions, linear maps and attention products.
int64_t MultiplyAdds(const VitOptions& options);

/// The parameters of S2's network by its formula, L, D, M, E as in `options`.
int64_t ParityParameterCount(const VitOptions& options);

}  // namespace orchard::nets
