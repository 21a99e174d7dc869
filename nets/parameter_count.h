#pragma once

#include <cstdint>

#include <torch/nn.h>

namespace orchard::nets {

/// The weights of a module and of all inside it; statistics and other buffers are none.
inline int64_t CountParameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

}  // namespace orchard::nets
