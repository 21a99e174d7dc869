#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"

#include "orchard/v1/model.pb.h"
#include "training/studies/masked_moe/run.h"

namespace orchard::training {

/// Writes <out>/PROVENANCE.md: what the recipe says of its sources, licences and limits, which
/// pictures were trained on and how, and (where the manifest has them) what was measured, with
/// counts and 95 % intervals.
absl::Status WriteProvenance(const std::filesystem::path& out,
                             const orchard::v1::ModelManifest& manifest, const Run& run);

}  // namespace orchard::training
