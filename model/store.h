#pragma once

#include <filesystem>

#include "absl/status/statusor.h"

#include "model/safetensors.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// The version folder that `path` means: `path` itself when it holds a manifest.json, otherwise its
/// sub-folder of the highest number. Errors: NOT_FOUND naming the path.
absl::StatusOr<std::filesystem::path> ResolveVersion(const std::filesystem::path& path);

/// `models/default` as found from the running executable: in the checkout (beside build/) or in the
/// installed `share/orchard`. Errors: NOT_FOUND naming the places that were looked at.
absl::StatusOr<std::filesystem::path> DefaultModel();

/// Reads one part of a version folder. Errors name the file: NOT_FOUND, INVALID_ARGUMENT when the
/// SHA-256 is not the manifest's (both are given) or the safetensors are broken.
absl::StatusOr<TensorMap> ReadPart(const std::filesystem::path& version_dir,
                                   const v1::PartFile& part);

}  // namespace orchard::model
