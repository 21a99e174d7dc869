#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"

#include "training/data/picture_set.h"
#include "training/measure/hits.h"
#include "training/measure/questions.h"

namespace orchard::training {

/// What a model says of known pictures, as a caller would hear it.
struct KnownAnswers {
  std::vector<double> unknown_score;  ///< [N]
  std::vector<double> confidence;     ///< [N]: the best concept's probability
  std::vector<double> routing;        ///< [G]: share of the pictures by their most probable domain
  std::vector<Hits> domain;           ///< [G]: that domain is the true one
  std::vector<Hits> routed;           ///< [G]: the first answer's domain and class are right
};

/// Asks the model of `version_dir`, everything in this process, with the default policy.
/// `questions` and `labels` [N], by the model's own domains and classes. Errors: those of
/// ServedModel.
absl::StatusOr<KnownAnswers> AskKnown(const std::filesystem::path& version_dir,
                                      const std::vector<Question>& questions,
                                      const std::vector<Label>& labels, size_t threads);

}  // namespace orchard::training
