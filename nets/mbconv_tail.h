#pragma once

#include "nets/tail.h"

namespace orchard::nets {

/// MBConv tail with squeeze-and-excitation (EfficientNet's block) on the shared map.
///
///   x [N,320,7,7] ─┬─ 1×1 320→h ─ BN ─ SiLU ─ 3×3 depthwise ─ BN ─ SiLU ─ SE ─ 1×1 h→320 ─ BN ─ +
///   ─► tail end
///                  └─────────────────────────────────────────────────────────────────────────── ┘
///   SE: y · σ(W₂ SiLU(W₁ mean(y)))
///
/// The last BN's scale starts at zero (the block is the identity). Choices: hidden (640),
/// squeeze (48), multiples of 16 (head.h). Parameters for the defaults and 15 classes: 0.91 M; 40.8
/// M multiply-adds, 14 % of the encoder's. Source: Tan and Le 2019 (arXiv:1905.11946), Hu et al.
/// 2018 (arXiv:1709.01507).
struct MbconvTail final : TailHead {
  MbconvTail(const v1::MbconvTail& choices, const HeadArgs& args);
  torch::Tensor forward(const torch::Tensor& map) override;

  torch::nn::Sequential expand{nullptr}, depthwise{nullptr}, reduce{nullptr};
  torch::nn::Conv2d squeeze{nullptr}, excite{nullptr};
};

}  // namespace orchard::nets
