#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "training/measure/comparison.h"
#include "training/report/predictions.h"

/// \file
/// Runs of several recipes, folds and seeds, put together into the arms of a comparison.

namespace orchard::training {

/// What one run answered to the pictures that it had not seen.
struct RunAnswers {
  std::string work;  ///< its folder, for messages
  std::string recipe;
  std::uint64_t seed = 0;
  std::vector<Prediction> predictions;
};

/// Reads recipe.textproto and predictions-<split>.tsv of a work folder. Errors name the file:
/// NOT_FOUND (`orchard-train measure` writes the latter), and those of ReadRecipe and
/// ReadPredictions.
absl::StatusOr<RunAnswers> ReadRunAnswers(const std::filesystem::path& work,
                                          const std::string& split);

struct Arms {
  std::vector<Arm> arms;             ///< one a recipe's name, in the order in which runs name them
  std::vector<std::uint64_t> seeds;  ///< [S] of every arm
  std::vector<size_t> fold;          ///< [N]: pictures of one run of the first arm have one number
};

/// Runs of one recipe name are an arm; those of one seed are its folds. The answer of most seeds is
/// the arm's vote; of equally many the one that they were surer of together, then the first by
/// name. Errors: INVALID_ARGUMENT naming the runs when there is none, when two answer one picture
/// with one seed (a fold twice, or folds of two splits), when an arm has other seeds or other
/// pictures than the first, or a picture another label.
absl::StatusOr<Arms> GatherArms(const std::vector<RunAnswers>& runs);

/// For people: a line an arm, then a line a pair.
std::string ToText(const Arms& arms, const Comparison& comparison);

/// The same as one JSON object.
std::string ToJson(const Arms& arms, const Comparison& comparison);

}  // namespace orchard::training
