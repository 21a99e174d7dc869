#pragma once

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// EfficientNet-B0: 16 inverted residuals with squeeze-and-excitation and SiLU.
///
///   block: [conv1×1 expand] ─ depthwise k×k (s) ─ SE, squeeze of the block's input / 4 ─ conv1×1,
///   + x
///
/// Parameters with 1,000 classes: 5,288,548; trunk 4,007,548. Names are torchvision's:
/// `features.N.M.block.K…`, `classifier.1`. BatchNorm eps 1e-5, symmetric padding, stochastic depth
/// rising to .2. No weights are to be had. Source: Tan and Le 2019 (arXiv:1905.11946).
struct EfficientNetB0 final : BackboneImpl {
  explicit EfficientNetB0(int64_t classes);
  torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) override;
  std::vector<int64_t> StageChannels() const override;
  torch::Tensor Classify(const torch::Tensor& pooled) override;

  torch::nn::ModuleList features{nullptr};
  torch::nn::Sequential classifier{nullptr};
};

}  // namespace orchard::nets
