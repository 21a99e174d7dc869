#pragma once

#include <cstdint>

#include <torch/nn.h>

namespace orchard::nets {

/// What the encoder gives for a batch.
struct EncoderFeatures {
  torch::Tensor map;     ///< [N, 320, 7, 7]: the output of features.17
  torch::Tensor pooled;  ///< [N, 1280]: features.18, averaged over its positions
};

inline constexpr int64_t kMapChannels = 320;
inline constexpr int64_t kMapSide = 7;
inline constexpr int64_t kPooledWidth = 1280;
inline constexpr int64_t kEncoderBlocks = 19;
inline constexpr int64_t kEncoderMultiplyAdds = 299'494'272;  ///< a picture of 224 × 224

/// MobileNetV2 1.0 without its classifier: inverted residuals with linear bottlenecks.
///
///   x [N,3,224,224] ─ conv3×3 s2 ─ 17 × (1×1 expand ─ 3×3 depthwise ─ 1×1 project) ─► map
///                                   map ─ conv1×1 ─ mean over positions ─► pooled
///
/// Parameters: 2,223,872. Every convolution without bias, BatchNorm eps 1e-5, ReLU6, symmetric
/// padding. Input: RGB / 255, standardised. Source: Sandler et al. 2018 (arXiv:1801.04381); table
/// in models.md section 8. Submodule names are torchvision's: `features.0.0.weight` …
struct MobileNetV2Impl final : torch::nn::Module {
  MobileNetV2Impl();

  /// [N, 3, 224, 224] → both features.
  EncoderFeatures forward(const torch::Tensor& x);

  /// BatchNorm in evaluation mode whatever train() says, for fine-tuning with frozen statistics;
  /// gradients of blocks before `first_trained` switched off.
  void PrepareFineTuning(int64_t first_trained);

  torch::nn::ModuleList features{nullptr};

 private:
  int64_t first_trained_ = 0;
};
TORCH_MODULE(MobileNetV2);

/// (pixels / 255 - mean) / std. uint8 [N, H, W, 3] → float [N, 3, H, W], channels-last in memory.
/// `mean` and `std` have shape [3].
torch::Tensor Standardise(const torch::Tensor& pixels, const torch::Tensor& mean,
                          const torch::Tensor& std);

}  // namespace orchard::nets
