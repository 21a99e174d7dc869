#pragma once

#include <torch/types.h>

/// \file
/// Functions with exponentials, whose bits don't depend on batch mates. LibTorch computes them on
/// two vector registers at a time, and what is left over by another routine with another last bit.
/// Where a row does not fill whole pairs of registers, its last elements would be left over when it
/// is alone and not when others follow. Here every row does: it is padded, if it has to be.

namespace orchard::nets {

/// x · σ(x), for x of shape [N, C, H, W].
torch::Tensor Silu(const torch::Tensor& x);

/// σ(x) = 1 / (1 + exp(-x)), for x of shape [N, C, H, W].
torch::Tensor Sigmoid(const torch::Tensor& x);

}  // namespace orchard::nets
