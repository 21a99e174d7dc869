#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/clock.h"
#include "core/micro_batcher.h"
#include "core/mutex.h"
#include "core/timer_queue.h"
#include "experts/expert.h"
#include "router/encode_stage.h"
#include "router/estimates.h"
#include "router/gather.h"
#include "router/metrics.h"
#include "router/request.h"

namespace orchard::router {

/// What the gates say about one picture; borrowed from a model::GateBatch.
struct GateRow {
  std::span<const double> log_branch;  ///< [B]
  double unknown_score = 0.0;
};

/// A picture whose gathering is over.
struct Gathered {
  RequestPtr request;
  Gather gather;
  GateRow gates;  ///< lives until the next stage returns
};

class Scatter;

/// The wave loop: plan → one Expert::Score a sub-batch → answers; again if the plan wants another
/// wave.
///
/// A picture waits for nobody but the experts that it asked itself, and not beyond its deadline:
/// what has answered by then goes on, and the answer is degraded. When its caller goes it goes on
/// at once, so that nobody's place is held by a stuck expert. Pictures of one micro-batch that ask
/// the same expert at the same time share one call.
///
/// An expert has `expert_timeout` for its answer, and no more than the most patient of its pictures
/// has; then it is missing, and the next wave follows. No domain has more rows of ours at a time
/// than its model allows (model_experts.h); over it, it is missing at once. So a hung expert holds
/// few places, and those not for long. When the last picture of a call has gone on, the call is
/// cancelled.
///
/// A domain that is being started (MissingReason::kCold) is missing at once, or, where its model
/// has a `cold_start_wait`, asked when it is there: until then the picture waits, not longer than
/// that and not so long that no time is left for an answer without it. It holds a place among the
/// domain's rows meanwhile. Other experts of its wave are asked at once.
///
/// Threads: a micro-batch begins on the encode worker, where experts in process answer at once, in
/// a loop, so that the stack does not grow with the waves. What comes later (a remote answer, the
/// timer, a caller's going) is handed to a small pool of the stage's own, because the threads that
/// bring it are gRPC's two and the timer's one. Thread-safe.
class ScatterStage {
 public:
  struct Options {
    size_t workers = 1;  ///< threads of the pool
    core::Clock::duration expert_timeout = std::chrono::seconds(2);
    bool keep_waves = false;  ///< whether requests are to hold what was asked in which wave
  };
  /// Takes a picture on, on an encode worker or the pool.
  using Next = std::function<void(Gathered)>;

  /// Everything given outlives the stage.
  ScatterStage(Options options, core::TimerQueue& timers, Estimates& estimates, Metrics& metrics,
               Next next);

  /// Waits for the micro-batches in progress, until the last expert that was asked has answered: at
  /// the latest shortly after the deadline, or when their fleets are stopped (fleet.h).
  ~ScatterStage();

  ScatterStage(const ScatterStage&) = delete;
  ScatterStage& operator=(const ScatterStage&) = delete;

  /// Takes a micro-batch of one model; request i is row i of `encoded`.
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

  const Options options_;
  core::TimerQueue& timers_;
  Estimates& estimates_;
  Metrics& metrics_;
  const Next next_;
  core::Mutex mutex_;
  std::condition_variable changed_;
  size_t present_ ABSL_GUARDED_BY(mutex_) = 0;
  // Micro-batches to which something has come. A micro-batch is in it once at most, so that it is
  // bounded by what is in progress. Shared with the calls that are still to answer. Last: its
  // threads use everything above.
  core::MicroBatcher<std::shared_ptr<Scatter>> pool_;
};

}  // namespace orchard::router
