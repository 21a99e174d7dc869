#pragma once

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/study.h"

namespace orchard::training {

/// Trains a network of the study on all folds but one. Leaves in the work folder the recipe,
/// split.tsv (the fold that is held out is its test side) and what FitClassifier leaves.
///
/// With `resume` it goes on to the same weights, bit by bit on one thread of a CPU. Errors, before
/// anything is written: those of CheckWorkFolder and PrepareFruitNetsRun; INVALID_ARGUMENT when
/// `start_from` is given; then FitClassifier's.
absl::Status FitFruitNets(const v1::Recipe& recipe, const RunPlaces& places,
                          const FitOptions& options);

}  // namespace orchard::training
