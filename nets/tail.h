#pragma once

#include "nets/conv_bn.h"
#include "nets/head.h"

namespace orchard::nets {

/// How a tail on the shared map ends: the encoder's own last step, but the expert's to change.
///
///   y [N, 320, 7, 7] ─ conv1×1 320→1280 ─ BN ─ ReLU6 ─ mean over positions ─ dropout ─ Linear ─►
///   logits
///
/// The convolution starts as a copy of the encoder's features.18, so that with a tail's residual
/// branch at zero the expert begins as a linear head on the pretrained pooled features.
struct TailHead : HeadModule {
  void InitialiseFrom(torch::nn::Module& last_block) override;

 protected:
  /// Registers "project", "dropout" and "classify".
  void RegisterEnd(const HeadArgs& args);
  torch::Tensor End(const torch::Tensor& y);

  ConvBnRelu6 project{nullptr};
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Conv2d classify{nullptr};
};

}  // namespace orchard::nets
