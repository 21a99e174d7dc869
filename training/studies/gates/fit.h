#pragma once

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/study.h"

namespace orchard::training {

/// Trains gates on features of the imported encoder as it is served. Leaves in the work folder:
/// the recipe, split.tsv, encoder.safetensors, outline.textproto (what the model will be),
/// history.jsonl, best.safetensors and, in the end, final.safetensors (the best gates, matrices in
/// FP16).
///
/// It takes minutes, nearly all of them for features: a run that was broken off is begun anew by
/// the same command. Errors, before anything is read: INVALID_ARGUMENT for `resume`, `start_from`,
/// `stop_after`, `time_limit` and a device other than the CPU; those of CheckWorkFolder,
/// ImportEncoder and ReadPictureSet; FAILED_PRECONDITION when a domain has no validation
/// pictures, or the training diverges.
absl::Status FitGates(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options);

}  // namespace orchard::training
