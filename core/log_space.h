#pragma once

#include <limits>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

/// \file
/// Arithmetic of probabilities as natural logarithms. -∞ means "masked" and is legal everywhere;
/// NaN and +∞ are not. Source: models.md section 2.4.

namespace orchard::core {

inline constexpr double kMasked = -std::numeric_limits<double>::infinity();

/// log Σ exp(x), exact for any finite range; kMasked for an empty or wholly masked span.
double LogSumExp(std::span<const double> x);

/// log_softmax(logits / temperature) in double precision, shape [C] → [C].
/// `temperature` > 0; a masked entry stays masked. Wholly masked input gives wholly masked output.
std::vector<double> LogSoftmax(std::span<const float> logits, double temperature);

}  // namespace orchard::core
