#pragma once

#include "absl/status/status.h"

#include "training/study.h"

namespace orchard::training {

/// Measures the network of a run: accuracy with its interval, NLL, calibration error, by class, how
/// well confidence and the routers' uncertainty find the errors, and what may be said of each
/// router; where the recipe trains under weather, all but the last under each weather as well
/// (weather.h). Prints it, and leaves in the work folder measure-<split>.json (all figures,
/// confusion matrix included), predictions-<split>.tsv (a line a picture: name, label, answer, the
/// answer's probability, the label's log-probability) and weather-<split>.tsv. Errors: NOT_FOUND
/// naming the network's file; INVALID_ARGUMENT when there is no such split, or it has no pictures.
absl::Status MeasureVitMoe(const RunPlaces& places, const MeasureOptions& options);

}  // namespace orchard::training
