#pragma once

#include <span>

namespace orchard::moe {

/// How evenly work is spread over experts. Source: models.md section 4.1 and 4.2.
struct RoutingHealth {
  double cv_squared = 0.0;          ///< population variance / mean² of the load; 0 is even
  double max_over_mean = 1.0;       ///< 1 is even, [1, E]
  double normalised_entropy = 1.0;  ///< H(load) / ln E, [0, 1]; 1 is even
  double balance_loss = 1.0;        ///< E · Σ load share · importance share (Switch)
};

/// `load` (images routed) and `importance` (gate probability mass), shape [E], non-negative, any
/// scale. Without any load: the values of perfect balance.
RoutingHealth Health(std::span<const double> load, std::span<const double> importance);

}  // namespace orchard::moe
