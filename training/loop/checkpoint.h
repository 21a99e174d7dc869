#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

namespace orchard::training {

/// Named tensors of a run, float32 or int64.
using Snapshot = std::map<std::string, torch::Tensor>;

/// `snapshot` with `prefix` before every name, added to `all`.
void AddTo(Snapshot& all, const std::string& prefix, const Snapshot& snapshot);

/// The entries of `all` whose names start with `prefix`, without it.
Snapshot Under(const Snapshot& all, const std::string& prefix);

/// Whether `state` has every tensor of `wanted`, in its shape. Errors: FAILED_PRECONDITION naming
/// the first few that it lacks or has in another shape.
absl::Status CheckShapes(const Snapshot& state, const Snapshot& wanted);

/// Writes as safetensors, through a temporary name: a kill, a full disk or a tensor that must not
/// be there leaves the old file. Tensors of any device. Errors name the file: I/O;
/// FAILED_PRECONDITION naming a tensor with NaN or an infinity, which would be refused when it is
/// read.
absl::Status WriteSnapshot(const std::filesystem::path& file, const Snapshot& snapshot);

/// Reads what WriteSnapshot wrote, bit by bit. Errors name the file.
absl::StatusOr<Snapshot> ReadSnapshot(const std::filesystem::path& file);

}  // namespace orchard::training
