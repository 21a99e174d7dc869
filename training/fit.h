#pragma once

#include <cstddef>
#include <filesystem>

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/run.h"

namespace orchard::training {

struct FitOptions {
  bool resume = false;  ///< go on from the work folder's checkpoint
  /// Another run's work folder: begin with its finished network, without head epochs; or, where its
  /// heads are others (also by linear_heads), with its encoder and head epochs. Empty: begin with
  /// the imported encoder. To resume a run of a recipe with a start_share, say it again.
  std::filesystem::path start_from = {};
  size_t stop_after = 0;  ///< epochs of the recipe's after which to stop for now; 0: none
};

/// Trains: head epochs on cached features of the frozen encoder, then everything end to end, then
/// new heads on the finished encoder (work/final.safetensors). After every epoch it validates the
/// averaged weights and saves work/checkpoint.safetensors; with `resume` it goes on from there, to
/// the same result. Errors, all before anything is read or written: INVALID_ARGUMENT when the
/// recipe has a start_share and `start_from` is empty; NOT_FOUND when that folder holds no finished
/// run; FAILED_PRECONDITION when the work folder holds a checkpoint and it is not to be resumed, or
/// one of another recipe.
absl::Status Fit(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options);

}  // namespace orchard::training
