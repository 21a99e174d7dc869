#include "core/log_space.h"

#include <algorithm>
#include <cmath>

namespace orchard::core {

double LogSumExp(std::span<const double> x) {
  if (x.empty()) return kMasked;
  const double peak = *std::ranges::max_element(x);
  if (peak == kMasked) return kMasked;
  double total = 0.0;
  for (const double value : x) total += std::exp(value - peak);  // exp(-∞) is exactly 0.
  return peak + std::log(total);
}

std::vector<double> LogSoftmax(std::span<const float> logits, double temperature) {
  std::vector<double> scaled(logits.begin(), logits.end());
  for (double& value : scaled) value /= temperature;
  const double total = LogSumExp(scaled);
  if (total == kMasked) return scaled;
  for (double& value : scaled) value -= total;
  return scaled;
}

}  // namespace orchard::core
