#pragma once

#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "core/window.h"
#include "moe/health.h"
#include "router/classification.h"

namespace orchard::router {

/// Where pictures went over the last `window`. Thread-safe; time is an argument.
class RoutingWindow {
 public:
  RoutingWindow(size_t domains, core::Clock::duration window);

  /// One picture, of as many domains.
  void Add(const Routing& routing, core::Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Summary {
    std::vector<double> load_share;  ///< [G], sum 1; all zero without traffic
    moe::RoutingHealth health;
  };
  Summary Summarise(core::Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  core::Mutex mutex_;
  core::WindowSums load_ ABSL_GUARDED_BY(mutex_);
  core::WindowSums importance_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::router
