#pragma once

#include <torch/types.h>

namespace orchard::nets {

/// Stochastic depth: whole pictures of x [B, ..] are zeroed with probability `rate` and the others
/// divided by 1 - rate. Only ever the increment of a residual stream, never the stream (defect A8).
torch::Tensor DropPath(const torch::Tensor& x, double rate, bool training);

}  // namespace orchard::nets
