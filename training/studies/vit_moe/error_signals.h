#pragma once

#include <optional>
#include <span>
#include <vector>

#include "training/studies/vit_moe/answers.h"

namespace orchard::training {

/// What there is to tell wrong answers from right ones by, a picture at a time.
struct JudgedAnswers {
  std::vector<size_t> answer;       ///< the most probable class
  std::vector<bool> right;          ///< it is the label
  std::vector<double> confidence;   ///< its probability
  std::vector<double> uncertainty;  ///< of the routers (VitAnswers); empty where they have none

  /// Appends `answers` to the pictures of `labels`.
  void Add(const VitAnswers& answers, std::span<const size_t> labels);
};

/// How well a figure that needs no label finds the errors: AUROC, .5 by chance. Absent where every
/// answer is right, or none is.
struct ErrorSignals {
  std::optional<double> confidence;   ///< errors are those of little probability
  std::optional<double> uncertainty;  ///< of great uncertainty; absent without one, too
  std::optional<double> mean_uncertainty;
};
ErrorSignals SignalsOf(const JudgedAnswers& answers);

}  // namespace orchard::training
