#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// \file
/// What a network answered, picture by picture: predictions-<split>.tsv of a work folder, and what
/// can be seen in it. Figures are pure functions.

namespace orchard::training {

struct Prediction {
  std::string picture;  ///< a path below the data folder, or a name that is none
  std::string label, answer;
  double probability = 0.0;          ///< of the answer
  double log_label_probability = 0;  ///< natural logarithm of the label's

  bool right() const { return label == answer; }
};

/// Writes the table that ReadPredictions() reads. Errors: core::WriteFile's.
absl::Status WritePredictions(const std::filesystem::path& file,
                              const std::vector<Prediction>& predictions);

/// Reads a table with the columns picture, label, answer, probability, log_probability_of_label, in
/// any order, tab-separated, with a head, names as ToCell() writes them. Errors name file and line:
/// NOT_FOUND; INVALID_ARGUMENT for a column that is missing, or a number that is none or out of its
/// range.
absl::StatusOr<std::vector<Prediction>> ReadPredictions(const std::filesystem::path& file);

/// Counts [labels][answers] over every name that is a label or an answer.
struct Confusion {
  std::vector<std::string> names;  ///< in order
  std::vector<std::vector<size_t>> counts;
};
Confusion ConfusionOf(const std::vector<Prediction>& predictions);

/// One bin of a reliability diagram.
struct ReliabilityBin {
  double probability = 0.0;  ///< mean of the answers'
  double share = 0.0;        ///< that is right
  size_t pictures = 0;
};
/// `bins` bins of (nearly) equally many pictures, by rising probability.
std::vector<ReliabilityBin> ReliabilityOf(const std::vector<Prediction>& predictions, size_t bins);

/// The probability as a detector of right answers: for falling thresholds (share of the wrong
/// answers that pass, share of the right ones), from (0, 0) to (1, 1). Empty where all are right,
/// or wrong.
std::vector<std::pair<double, double>> RocOf(const std::vector<Prediction>& predictions);

/// The area under it, by trapezoids.
double AreaUnder(const std::vector<std::pair<double, double>>& curve);

/// The wrong answers with the least probable labels, `count` of them at most.
std::vector<Prediction> WorstOf(const std::vector<Prediction>& predictions, size_t count);

}  // namespace orchard::training
