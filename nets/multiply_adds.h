#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include <torch/nn.h>

namespace orchard::nets {

/// The multiply-adds of `forward` on `example`: convolutions, linear layers and matrix products, as
/// recorded by tracing one run. Norms, activations, poolings and additions of biases are not
/// counted (models.md section 1.1). `module` is what `forward` runs: its parameters require no
/// gradient meanwhile. Errors: INTERNAL with LibTorch's message.
absl::StatusOr<int64_t> CountMultiplyAdds(
    torch::nn::Module& module, const std::function<torch::Tensor(const torch::Tensor&)>& forward,
    const torch::Tensor& example);

}  // namespace orchard::nets
