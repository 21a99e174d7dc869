#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "bench/fleet/events.h"
#include "bench/fleet/plan.h"

namespace orchard::bench {

/// How many replicas a HorizontalPodAutoscaler wants that is asked for an average of 1 of the
/// metric: `metric` replicas, rounded up, unless that is within `tolerance` of what there is.
/// Between `least` and `most`. Pure.
size_t WantedReplicas(double metric, size_t current, const AutoscalerPlan& plan);

/// The replicas of one domain over time: up at once, down to the most that was wanted within
/// `scale_down`. Time is an argument.
class ReplicaRule {
 public:
  explicit ReplicaRule(const AutoscalerPlan& plan) : plan_(plan) {}

  /// How many there should be now, of `current`.
  size_t Decide(double metric, size_t current, Clock::time_point now);

 private:
  struct Word {
    Clock::time_point when;
    size_t wanted;
  };
  const AutoscalerPlan& plan_;
  std::deque<Word> words_;
};

}  // namespace orchard::bench
