#pragma once

#include <filesystem>

#include "absl/status/status.h"

#include "orchard/v1/model.pb.h"
#include "training/measure/evaluate.h"

namespace orchard::training {

/// Puts a report into a manifest's words. What it did not measure for want of unknown pictures
/// stays as it was recorded before; everything else is replaced.
void RecordIn(orchard::v1::Evaluation& evaluation, const Report& report);

/// Writes a report into the manifest and PROVENANCE.md of a model: a version folder, or a folder of
/// versions. Errors: those of model::ResolveVersion and model::ReadManifest; I/O naming the file.
absl::Status Record(const std::filesystem::path& model, const Report& report);

}  // namespace orchard::training
