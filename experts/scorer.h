#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "model/expert_head.h"

namespace orchard::experts {

/// The arithmetic of one expert: features [rows, row width], row-major (of pictures numbers from 0
/// to 255) → scores of `rows` rows. Thread-safe; a row's answer does not depend on the other rows.
/// A function and not ExpertHead, so that tests of everything around it need no LibTorch.
using Scorer =
    std::function<absl::StatusOr<model::ScoreBatch>(std::span<const float> features, size_t rows)>;

/// Whether an answer is one: `rows` rows of `classes` log-probabilities, none of them NaN or above
/// 0 by more than rounding, -∞ allowed; finite energies.
/// Errors: INTERNAL with what is wrong, the value and its place. An expert that answers so failed.
absl::Status CheckScores(const model::ScoreBatch& scores, size_t rows, size_t classes);

}  // namespace orchard::experts
