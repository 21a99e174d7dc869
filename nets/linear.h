#pragma once

#include "nets/head.h"

namespace orchard::nets {

/// One linear layer on pooled features.
///
///   x [N, 1280] ─ dropout ─ Linear ─► logits [N, classes]
///
/// Parameters: 1281 · classes. Source: models.md section 2.3, head shape `linear`.
struct LinearHead final : HeadModule {
  explicit LinearHead(const HeadArgs& args);
  torch::Tensor forward(const torch::Tensor& pooled) override;

  torch::nn::Dropout dropout{nullptr};
  torch::nn::Conv2d classify{nullptr};
};

}  // namespace orchard::nets
