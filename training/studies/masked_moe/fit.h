#pragma once

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/study.h"

namespace orchard::training {

/// Trains: head epochs on cached features of the frozen encoder, then everything end to end, then
/// new heads on the finished encoder (work/final.safetensors). After every epoch it validates the
/// averaged weights and saves work/checkpoint.safetensors; with `resume` it goes on from there, to
/// the same result. Errors, all before anything is read or written: INVALID_ARGUMENT when the
/// recipe has a start_share and `start_from` is empty; NOT_FOUND when that folder holds no finished
/// run, or the work folder none to resume; FAILED_PRECONDITION when the work folder holds a
/// checkpoint and it is not to be resumed, or one of another recipe, start or set of pictures, or
/// the training diverges (the last checkpoint stays).
///
/// With `start_from` a run begins with that run's finished network, without head epochs; or, where
/// its heads are others (also by linear_heads), with its encoder and head epochs. To resume a run
/// of a recipe with a start_share, say it again.
absl::Status Fit(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options);

}  // namespace orchard::training
