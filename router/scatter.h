#pragma once

#include <condition_variable>
#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"
#include "core/timer_queue.h"
#include "router/admission.h"
#include "router/catalogue.h"
#include "router/encode_stage.h"
#include "router/fleet.h"
#include "router/metrics.h"
#include "router/request.h"

namespace orchard::router {

/// The wave loop: plan → one Expert::Score a sub-batch → answers; again if the plan wants another
/// wave; then combine and answer.
///
/// A picture waits for nobody but the experts that it asked itself, and not beyond its deadline:
/// what has answered by then is combined, and the answer is degraded. When its caller goes it is
/// answered (CANCELLED) at once, so that nobody's place is held by a stuck expert. Pictures of one
/// micro-batch that ask the same expert at the same time share one call. Experts that answer at
/// once (in process) are asked in a loop, so the stack does not grow with the waves. Thread-safe.
class ScatterStage {
 public:
  /// Everything given outlives the stage.
  ScatterStage(const Catalogue& catalogue, ExpertFleet& fleet, core::TimerQueue& timers,
               ServiceTimes& times, Metrics& metrics)
      : catalogue_(catalogue), fleet_(fleet), timers_(timers), times_(times), metrics_(metrics) {}

  /// Waits for the micro-batches in progress, until the last expert that was asked has answered: at
  /// the latest shortly after the deadline, or when the fleet is stopped (fleet.h).
  ~ScatterStage();

  ScatterStage(const ScatterStage&) = delete;
  ScatterStage& operator=(const ScatterStage&) = delete;

  /// Takes a micro-batch; request i is row i of `encoded`. Every request is answered, on this
  /// thread, an expert's or the timer's.
  void Run(Encoded encoded, std::vector<RequestPtr> requests);

 private:
  friend class Scatter;

  /// A micro-batch in progress.
  class Presence {
   public:
    explicit Presence(ScatterStage& stage);
    ~Presence();
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;

   private:
    ScatterStage& stage_;
  };

  const Catalogue& catalogue_;
  ExpertFleet& fleet_;
  core::TimerQueue& timers_;
  ServiceTimes& times_;
  Metrics& metrics_;
  core::Mutex mutex_;
  std::condition_variable changed_;
  size_t present_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace orchard::router
