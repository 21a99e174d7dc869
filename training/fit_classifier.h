#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/callbacks.h"
#include "training/loop/model.h"
#include "training/loop/task.h"
#include "training/study.h"
#include "training/work_folder.h"

/// \file
/// What the fits of studies with one network and one phase have in common.

namespace orchard::training {

/// A run whose work folder is begun and whose network is made.
struct ClassifierFit {
  const v1::Recipe& recipe;
  const RunPlaces& places;
  const FitOptions& options;
  Model& model;          ///< its module is on `device`
  torch::Device device;  ///< where the loop computes

  /// Called once, if an epoch is to be done.
  std::function<absl::StatusOr<std::unique_ptr<Task>>()> task;
  Validation::Measure validate;

  std::chrono::steady_clock::time_point begun;  ///< the time limit counts from it
};

/// Runs the recipe's epochs, from the checkpoint where a run goes on. Leaves in the work folder:
/// history.jsonl (a line an epoch), checkpoint.safetensors (what --resume goes on from),
/// best.safetensors (the average with the best validation so far; matrices in FP16) and, when all
/// epochs are done or validation has stopped getting better, final.safetensors (the last average,
/// likewise). Says on stderr what it does.
///
/// What is random depends on the recipe's seed and the epoch alone. Errors: RunLoop's; those of
/// `task` and of the checkpoint; UNAVAILABLE naming a file.
absl::Status FitClassifier(const ClassifierFit& fit);

/// Threads that make batches: beside a GPU all but those that feed it; else the network has the
/// CPU.
size_t LoaderThreads(size_t threads, const torch::Device& device);

}  // namespace orchard::training
