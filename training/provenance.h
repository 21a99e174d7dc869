#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"

#include "orchard/v1/model.pb.h"
#include "training/run.h"

namespace orchard::training {

/// Writes <out>/PROVENANCE.md: what the model was initialised and trained from, how, under which
/// licences, and (where the manifest has them) what was measured, with counts and 95 % intervals.
absl::Status WriteProvenance(const std::filesystem::path& out,
                             const orchard::v1::ModelManifest& manifest, const Run& run);

/// The part of PROVENANCE.md below "## Measured", from the manifest's evaluation.
std::string MeasuredText(const orchard::v1::Evaluation& evaluation);

/// Replaces that part in an existing PROVENANCE.md. Errors name the file.
absl::Status UpdateProvenance(const std::filesystem::path& out,
                              const orchard::v1::Evaluation& evaluation);

}  // namespace orchard::training
