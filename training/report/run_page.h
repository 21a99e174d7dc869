#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "training/log/records.h"
#include "training/report/gnuplot.h"
#include "training/report/predictions.h"

/// \file
/// A run as one HTML page that needs nothing beside it.

namespace orchard::training {

/// The charts of a run's epochs: loss, validation, rates, and where its network has experts inside,
/// their balance and each layer's load. Epochs of all phases stand behind each other.
std::vector<Chart> HistoryCharts(const RunHistory& history);

/// Confusion matrix, reliability, and the probability as a detector of right answers.
std::vector<Chart> PredictionCharts(const std::vector<Prediction>& predictions);

struct PageOptions {
  std::filesystem::path data;  ///< where the pictures of the predictions are; empty: names alone
  std::string split;           ///< of the predictions
  size_t worst = 24;           ///< wrong answers that are shown
};

/// The page, with the charts drawn. `predictions`: absent where the run has none. Errors: Draw's.
absl::StatusOr<std::string> RunPage(const RunHistory& history,
                                    const std::optional<std::vector<Prediction>>& predictions,
                                    const PageOptions& options);

}  // namespace orchard::training
