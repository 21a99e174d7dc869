#pragma once

#include "absl/status/status.h"

#include "training/study.h"

namespace orchard::training {

/// Makes a version folder of a run's averaged weights: rounds matrices and kernels to FP16 (and
/// prints what that costs), fits temperatures, the unknown-domain score and the thresholds on the
/// rounded network, writes parts, manifest and PROVENANCE.md.
///
/// The folder `evaluation/` holds what the server doesn't need and `orchard-train eval` does: the
/// recipe (which splits the pictures again) and the flat linear head of the comparison.
/// Errors: ALREADY_EXISTS when the folder holds a manifest; those of LoadRun; I/O naming the file.
absl::Status Export(const RunPlaces& places, const ExportOptions& options);

}  // namespace orchard::training
