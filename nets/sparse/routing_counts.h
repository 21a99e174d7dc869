#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"

namespace orchard::nets {

struct Routing;

/// What one layer's router decided over many pictures: sums alone, whatever their number.
struct RoutingCounts {
  size_t top_k = 1;
  double pictures = 0.0;
  double tokens = 0.0;
  double entropy = 0.0;             ///< Σ over tokens of H(p), nats
  std::vector<double> picks;        ///< [E]
  std::vector<double> probability;  ///< [E]: Σ over tokens of p
};

/// Adds up, layer by layer, what a network's routers decide while it serves. Thread-safe.
class RoutingTally {
 public:
  /// Of `pictures` pictures, whose tokens are consecutive rows of each layer's routing, E experts
  /// and top K each. One copy to the host a layer, without the lock.
  void Add(const std::vector<Routing>& layers, int64_t experts, int64_t top_k, int64_t pictures)
      ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<RoutingCounts> Counts() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return layers_;
  }

 private:
  mutable core::Mutex mutex_;
  std::vector<RoutingCounts> layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::nets
