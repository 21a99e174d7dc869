#pragma once

#include "nets/head.h"

namespace orchard::nets {

/// Two-layer perceptron on pooled features.
///
///   x [N, 1280] ─ dropout ─ Linear ─ ReLU ─ dropout ─ Linear ─► logits [N, classes]
///
/// Choices: hidden (256). Parameters: 1281 · hidden + (hidden + 1) · classes; 0.33 M for 256 and
/// few classes. Source: models.md section 2.3, head shape `mlp(h)`.
struct MlpHead final : HeadModule {
  MlpHead(const v1::Mlp& choices, const HeadArgs& args);
  torch::Tensor forward(const torch::Tensor& pooled) override;

  torch::nn::Dropout dropout{nullptr};
  torch::nn::Conv2d hidden{nullptr}, classify{nullptr};
};

}  // namespace orchard::nets
