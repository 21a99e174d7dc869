#pragma once

#include <torch/nn.h>

#include "nets/mobilenet_v2.h"

namespace orchard::training {

/// Runs `encoder` with each BatchNorm folded into the convolution before it, statistics frozen:
/// the same function and the same gradients as MobileNetV2::forward in evaluation mode, to
/// rounding, without a second pass over every activation (measured: a third less time a step).
///
/// `x`: [N, 3, H, W], H and W multiples of 32. No gradient reaches blocks before `first_trained`.
nets::EncoderFeatures FoldedForward(nets::MobileNetV2& encoder, const torch::Tensor& x,
                                    int64_t first_trained);

}  // namespace orchard::training
