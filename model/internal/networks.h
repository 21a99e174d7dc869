#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

#include "core/tensor.h"
#include "model/safetensors.h"
#include "nets/head.h"
#include "orchard/v1/model.pb.h"

/// \file
/// What the callable parts share: manifest and tensors → a network, and rows in and out of it.

namespace orchard::model::internal {

/// What the architecture is called, whichever way it is written.
std::string NameOf(const v1::Architecture& architecture);

/// The network that the manifest names or describes. Errors: those of nets::NetworkOf and
/// nets::NetworkFaults.
absl::StatusOr<v1::Network> NetworkOf(const v1::Architecture& architecture);

/// What `part` reads. Errors: INVALID_ARGUMENT naming `file`.
absl::StatusOr<core::FeatureKind> KindOf(const v1::ExpertPart& part, const std::string& file);

/// The head that `architecture` names, with the tensors behind `prefix`. Errors name `file`:
/// INVALID_ARGUMENT for an unknown architecture or argument, a head that reads another kind of
/// feature, and LoadState's.
absl::StatusOr<nets::Head> LoadHead(const v1::Architecture& architecture, core::FeatureKind kind,
                                    int64_t classes, const TensorMap& tensors,
                                    const std::string& prefix, const std::string& file);

/// FAILED_PRECONDITION naming `file`, both fingerprints and the remedy, unless they are equal.
absl::Status CheckFingerprint(const std::string& file, const std::string& trained_on,
                              const std::string& encoder);

/// A tensor that looks at `values` without copying; `values` must outlive it.
torch::Tensor ViewOf(std::span<const float> values, std::vector<int64_t> shape);

/// Whether no element is NaN or ±∞.
bool IsFinite(const torch::Tensor& tensor);

}  // namespace orchard::model::internal
