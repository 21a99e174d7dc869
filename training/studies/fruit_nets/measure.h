#pragma once

#include "absl/status/status.h"

#include "training/study.h"

namespace orchard::training {

/// Measures the network of a run on one side, of which `test` is the fold that was held out:
/// accuracy with its interval, NLL, calibration error, by class. Prints it, and leaves in the work
/// folder measure-<split>.json (all figures, with confusion matrix, fold, parameters and
/// multiply-adds of a picture) and predictions-<split>.tsv. Errors: NOT_FOUND naming the network's
/// file; INVALID_ARGUMENT when there is no such split, or it has no pictures.
absl::Status MeasureFruitNets(const RunPlaces& places, const MeasureOptions& options);

}  // namespace orchard::training
