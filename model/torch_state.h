#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include <torch/nn.h>

#include "model/safetensors.h"

/// \file
/// Between LibTorch's modules and tensors on disk. Includes LibTorch, which costs many seconds a
/// file: only training/, model/*.cc and tests of networks include it.

namespace orchard::model {

/// How StateOf stores matrices and kernels (two dimensions and more). Biases, BatchNorm's scales
/// and statistics always stay float32: they are few, and their rounding would add up.
enum class Precision { kFull, kHalf };

/// Parameters and buffers of `module` by name, each behind `prefix` ("branch."; may be empty).
/// BatchNorm's num_batches_tracked is left out: nothing reads it. A tensor with values beyond FP16
/// stays float32.
TensorMap StateOf(const torch::nn::Module& module, const std::string& prefix, Precision precision);

/// Copies the tensors whose names start with `prefix` into `module`. The module's names and the
/// names given must be the same, and so their shapes. Errors: INVALID_ARGUMENT naming `file` and
/// every missing, additional and misshapen tensor; nothing was copied then.
absl::Status LoadState(torch::nn::Module& module, const TensorMap& tensors,
                       const std::string& prefix, std::string_view file);

}  // namespace orchard::model
