#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn.h>

namespace orchard::nets {

/// A convolution with its BatchNorm's scale and shift in its own weights, statistics as they are:
/// the same function as the two in evaluation mode, to rounding. Gradients reach the kernel, the
/// scale and the shift through the products.
struct FoldedConvolution {
  torch::Tensor kernel;  ///< [out, in/groups, k, k], channels-last
  torch::Tensor bias;    ///< [out]
  int64_t stride = 1;
  int64_t groups = 1;
  bool relu6 = false;

  int64_t padding() const { return kernel.size(2) / 2; }
};

/// A block of MobileNetV2::features: its convolutions in order.
struct FoldedBlock {
  std::vector<FoldedConvolution> layers;
  bool skip = false;  ///< the block's input is added to what the last layer gives
};

/// `block` is one of MobileNetV2::features.
FoldedBlock Fold(const torch::nn::Module& block);

}  // namespace orchard::nets
