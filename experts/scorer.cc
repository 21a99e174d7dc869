#include "experts/scorer.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace orchard::experts {
namespace {

/// A log-probability is at most 0; float32 rounding of log_softmax may end a little above.
constexpr float kRounding = 1e-4F;

}  // namespace

absl::Status CheckScores(const model::ScoreBatch& scores, size_t rows, size_t classes) {
  if (scores.rows != rows || scores.classes != classes ||
      scores.log_probabilities.size() != rows * classes || scores.energy.size() != rows) {
    return absl::InternalError(
        absl::StrCat("expert answered ", scores.rows, " rows of ", scores.classes, " classes (",
                     scores.log_probabilities.size(), " log-probabilities, ", scores.energy.size(),
                     " energies); expected ", rows, " rows of ", classes));
  }
  for (size_t i = 0; i < scores.log_probabilities.size(); ++i) {
    if (scores.log_probabilities[i] <= kRounding) continue;  // False for NaN.
    return absl::InternalError(absl::StrCat("expert answered a log-probability of ",
                                            scores.log_probabilities[i], " for class ", i % classes,
                                            " of row ", i / classes, ": it must be at most 0"));
  }
  for (size_t row = 0; row < rows; ++row) {
    if (std::isfinite(scores.energy[row])) continue;
    return absl::InternalError(absl::StrCat("expert answered an energy of ", scores.energy[row],
                                            " for row ", row, ": it must be finite"));
  }
  return absl::OkStatus();
}

}  // namespace orchard::experts
