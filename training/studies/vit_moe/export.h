#pragma once

#include "absl/status/status.h"

#include "training/study.h"

namespace orchard::training {

/// Makes a version folder of a run's best network: a model of one domain whose expert looks at the
/// picture, without gates and encoder (docs/model-format.md). The part is the run's file, byte by
/// byte; on validation pictures a temperature is fitted, and the confidence under which an answer
/// is marked, so that 95 % of them pass.
///
/// evaluation/ holds the recipe, by which `orchard-train eval` reads the pictures again, and, where
/// a source has no test side of its own, who was on which side.
/// Errors: ALREADY_EXISTS when the folder holds a manifest and it is not to be replaced; NOT_FOUND
/// naming the network's file; FAILED_PRECONDITION when the run has no validation pictures, or the
/// network is one that can't be served.
absl::Status ExportVitMoe(const RunPlaces& places, const ExportOptions& options);

}  // namespace orchard::training
