#pragma once

#include <cstdint>
#include <vector>

#include "nets/sparse/token_router.h"

namespace orchard::nets {

/// What a layer's routing adds up to over any number of batches, on the host in double: the figures
/// of models.md section 4.1 are functions of these sums.
struct RoutingTotals {
  double tokens = 0.0;
  double entropy = 0.0;             ///< Σ_t H(p_t), nats
  std::vector<double> picks;        ///< [E]
  std::vector<double> probability;  ///< [E]: Σ_t p_t
  std::vector<double> weight;       ///< [E]: Σ of combine weights

  /// Picks by picture, in the order in which pictures came: [pictures][E].
  std::vector<std::vector<double>> picks_of_picture;
};

/// Adds a batch of `pictures` pictures, whose tokens are consecutive rows. One copy to the host.
void Add(const Routing& routing, int64_t experts, int64_t pictures, RoutingTotals& totals);

}  // namespace orchard::nets
