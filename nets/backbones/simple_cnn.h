#pragma once

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// S4's small network: three times conv 3×3, ReLU, max pooling of 2, widths 32, 64, 128. Without
/// padding 256 pixels become 30 × 30, with it 32 × 32. Parameters: 93,248. Submodules conv1 …
/// conv3.
struct SimpleCnn final : BackboneImpl {
  explicit SimpleCnn(bool same_padding);
  torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) override;
  std::vector<int64_t> StageChannels() const override { return {32, 64, 128}; }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
};

/// The side of the map for pictures of `side` pixels; 0 or less: too small.
int64_t SimpleCnnMapSide(int64_t side, bool same_padding);

}  // namespace orchard::nets
