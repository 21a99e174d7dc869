#pragma once

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// The 13 convolutions of VGG16, 3×3 with bias, each followed by ReLU, in five stages that end with
/// max pooling: 64 64 | 128 128 | 256 ×3 | 512 ×3 | 512 ×3. Parameters: 14,714,688.
/// Names are torchvision's, `features.0` … `features.28`. The weights that are to be had are the
/// original ones, which Keras carries: RGB 0..255 minus (123.68, 116.779, 103.939), no division.
/// Source: Simonyan and Zisserman 2015 (arXiv:1409.1556).
struct Vgg16 final : BackboneImpl {
  Vgg16();
  torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) override;
  std::vector<int64_t> StageChannels() const override { return {64, 128, 256, 512, 512}; }

  torch::nn::ModuleList features{nullptr};  ///< convolutions, ReLUs and poolings by turns
};

}  // namespace orchard::nets
