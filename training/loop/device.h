#pragma once

#include <string>

#include "absl/status/statusor.h"
#include <torch/types.h>

namespace orchard::training {

/// "cpu", "cuda" or "cuda:N". Errors: INVALID_ARGUMENT for another word; FAILED_PRECONDITION when
/// this LibTorch has no CUDA, or the machine no such GPU.
absl::StatusOr<torch::Device> ParseDevice(const std::string& name);

}  // namespace orchard::training
