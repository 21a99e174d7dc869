#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/types.h>

namespace orchard::training {

/// "cpu", "cuda" or "cuda:N". Errors: INVALID_ARGUMENT for another word; FAILED_PRECONDITION when
/// this LibTorch has no CUDA, or the machine no such GPU.
absl::StatusOr<torch::Device> ParseDevice(const std::string& name);

/// The values of tensors of one element each, on one device: from a GPU in one transfer, as each
/// makes the host wait.
std::vector<double> ValuesOf(const std::vector<torch::Tensor>& scalars);

}  // namespace orchard::training
