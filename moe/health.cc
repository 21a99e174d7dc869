#include "moe/health.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace orchard::moe {

RoutingHealth Health(std::span<const double> load, std::span<const double> importance) {
  assert(load.size() == importance.size());
  const double total_load = std::accumulate(load.begin(), load.end(), 0.0);
  const double total_importance = std::accumulate(importance.begin(), importance.end(), 0.0);
  if (!(total_load > 0.0)) return {};

  const auto experts = static_cast<double>(load.size());
  double squares = 0.0;
  double largest = 0.0;
  double entropy = 0.0;
  double agreement = 0.0;
  for (size_t e = 0; e < load.size(); ++e) {
    const double share = load[e] / total_load;
    squares += share * share;
    largest = std::max(largest, share);
    if (share > 0.0) entropy -= share * std::log(share);
    if (total_importance > 0.0) agreement += share * importance[e] / total_importance;
  }

  RoutingHealth health;
  health.cv_squared = std::max(0.0, experts * squares - 1.0);  // Rounding may give -1e-16.
  health.max_over_mean = experts * largest;
  if (load.size() > 1) health.normalised_entropy = entropy / std::log(experts);
  if (total_importance > 0.0) health.balance_loss = experts * agreement;
  return health;
}

}  // namespace orchard::moe
