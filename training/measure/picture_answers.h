#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <nlohmann/json_fwd.hpp>

#include "training/measure/classification.h"

/// \file
/// What a run's network answered to the pictures of one side, as figures and as files of the work
/// folder, whatever study asked.

namespace orchard::training {

/// Answers to N pictures of C classes.
struct PictureAnswers {
  std::string recipe;                    ///< its name
  std::string network;                   ///< "best" or "final"
  std::string split;                     ///< "test", …
  std::vector<std::string> classes;      ///< [C]
  std::vector<std::string> names;        ///< [N] of the pictures
  std::vector<size_t> labels;            ///< [N]
  std::vector<float> log_probabilities;  ///< [N · C], row by row
};

/// Their figures.
Classification Classify(const PictureAnswers& answers);

/// Figures as JSON: accuracy with its interval, NLL, calibration error, by class, confusion matrix.
nlohmann::ordered_json ToJson(const PictureAnswers& answers, const Classification& figures);

/// Writes measure-<split>.json, which holds `json`, and predictions-<split>.tsv
/// (report/predictions.h) into `work`.
/// Errors: UNAVAILABLE naming the file.
absl::Status WriteAnswers(const std::filesystem::path& work, const PictureAnswers& answers,
                          const std::string& json);

}  // namespace orchard::training
