#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "training/measure/hits.h"
#include "training/measure/statistics.h"

namespace orchard::training {

/// How well a classifier of one domain answers pictures whose classes are known.
struct Classification {
  Hits accuracy{};                 ///< the most probable class is right
  Interval interval{};             ///< of the accuracy, 95 %, Wilson
  double nll = 0.0;                ///< mean of -log p(label), nats; no smoothing
  double calibration_error = 0.0;  ///< of the largest probability, 15 bins of equal mass
  std::vector<Hits> by_class{};    ///< [C], by label
  std::vector<std::vector<size_t>> confusion{};  ///< [C][C]: label, answer
};

/// `log_probabilities` [N · C], row by row; `labels` [N]. Ties go to the lower class.
Classification Classify(std::span<const float> log_probabilities, std::span<const size_t> labels,
                        size_t classes);

/// The most probable class of a row.
size_t BestClass(std::span<const float> row);

/// For people: the figures, the weakest classes, the commonest confusions.
std::string ToText(const Classification& figures, const std::vector<std::string>& classes);

}  // namespace orchard::training
