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

/// Writes as safetensors, through a temporary name: a kill leaves the old file or the new one.
/// Errors name the file.
absl::Status WriteSnapshot(const std::filesystem::path& file, const Snapshot& snapshot);

/// Reads what WriteSnapshot wrote, bit by bit. Errors name the file.
absl::StatusOr<Snapshot> ReadSnapshot(const std::filesystem::path& file);

}  // namespace orchard::training
