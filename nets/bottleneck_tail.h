#pragma once

#include "nets/tail.h"

namespace orchard::nets {

/// Narrow bottleneck-ResNet tail on the shared map.
///
///   x [N,320,7,7] ─┬─ 1×1 320→w ─ BN ─ ReLU ─ 3×3 w→w ─ BN ─ ReLU ─ 1×1 w→320 ─ BN ─ + ─► tail end
///                  └──────────────────────────────────────────────────────────────── ┘   (tail.h)
///
/// The last BN's scale starts at zero (the block is the identity). Choices: width (128).
/// Parameters for width 128 and 31 classes: 0.68 M; 33.4 M multiply-adds, 11 % of the encoder's.
/// Source: He et al. 2016 (arXiv:1512.03385); zero scale: Goyal et al. 2017 (arXiv:1706.02677).
struct BottleneckTail final : TailHead {
  BottleneckTail(const v1::BottleneckTail& choices, const HeadArgs& args);
  torch::Tensor forward(const torch::Tensor& map) override;

  torch::nn::Sequential block{nullptr};
};

}  // namespace orchard::nets
