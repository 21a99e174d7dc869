#pragma once

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/study.h"

namespace orchard::training {

/// Trains a ViT-MoE from random weights. Leaves in the work folder the recipe, split.tsv and what
/// FitClassifier leaves.
///
/// With `resume` it goes on to the same weights, bit by bit on one thread of a CPU. Errors, before
/// anything is written: those of CheckWorkFolder and PrepareVitMoeRun; INVALID_ARGUMENT when
/// `start_from` is given; FAILED_PRECONDITION when the pictures are others than those that the run
/// began with, or the training diverges (the last checkpoint stays).
absl::Status FitVitMoe(const v1::Recipe& recipe, const RunPlaces& places,
                       const FitOptions& options);

}  // namespace orchard::training
