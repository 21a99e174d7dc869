#include "bench/fleet/autoscaler.h"

#include <algorithm>
#include <cmath>

namespace orchard::bench {

size_t WantedReplicas(double metric, size_t current, const AutoscalerPlan& plan) {
  const double ratio = metric / std::max(1.0, static_cast<double>(current));
  const size_t wanted = current > 0 && std::abs(ratio - 1.0) <= plan.tolerance
                            ? current
                            : static_cast<size_t>(std::ceil(metric));
  return std::clamp(wanted, plan.least, plan.most);
}

size_t ReplicaRule::Decide(double metric, size_t current, Clock::time_point now) {
  const size_t wanted = WantedReplicas(metric, current, plan_);
  if (words_.empty()) words_.push_back({now, current});  // What there was counts as wanted.
  words_.push_back({now, wanted});
  while (now - words_.front().when > plan_.scale_down) words_.pop_front();
  if (wanted >= current) return wanted;
  const size_t most = std::ranges::max_element(words_, {}, &Word::wanted)->wanted;
  return std::min(current, most);
}

}  // namespace orchard::bench
