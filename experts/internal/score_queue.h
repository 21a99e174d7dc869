#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

#include "core/clock.h"
#include "core/linear_time.h"
#include "experts/expert_metrics.h"
#include "experts/expert_spec.h"
#include "experts/internal/score_pool.h"
#include "experts/scorer.h"
#include "model/expert_head.h"
#include "orchard/v1/tensor.pb.h"

namespace orchard::experts::internal {

/// A call that waits in a ScoreQueue, seen from there: no gRPC.
class PendingScore {
 public:
  struct Timing {
    core::Clock::duration queue{};
    core::Clock::duration compute{};
  };

  virtual const v1::Tensor& features() const = 0;
  virtual size_t rows() const = 0;
  virtual core::Clock::time_point arrived() const = 0;
  /// OK while the caller still wants the answer; otherwise why not.
  virtual absl::Status StillWanted() const = 0;

  /// Exactly one of them is called, once, on a worker; the call may be gone when it returns.
  /// Its answer is rows [first, first + rows()) of `scores`.
  virtual void Answer(const model::ScoreBatch& scores, size_t first, Timing timing) = 0;
  virtual void Fail(const absl::Status& status, Timing timing) = 0;

 protected:
  ~PendingScore() = default;
};

struct ScoreQueueOptions {
  size_t domain = 0;               ///< its number among the queues of the pool
  size_t max_batch = 32;           ///< rows computed together, unless one call has more
  size_t max_waiting = 256;        ///< calls; one more is refused
  size_t max_waiting_rows = 4096;  ///< rows of these calls; one alone may have more
};

/// One domain's calls, from all routers: queue → batch across callers → head → answers. Workers of
/// the pool that are idle share what waits. A call is dropped before it costs anything when its
/// caller has gone; and before another is refused for want of a place, those of callers that have
/// gone give theirs up. Thread-safe.
class ScoreQueue {
 public:
  /// `spec`, `metrics` and `pool` outlive it; the pool's Stop() comes before its end.
  ScoreQueue(const ExpertSpec& spec, Scorer scorer, DomainMetrics& metrics,
             ScoreQueueOptions options, ScorePool& pool)
      : spec_(spec),
        scorer_(std::move(scorer)),
        metrics_(metrics),
        options_(options),
        pool_(pool) {}

  /// `call` must live until it is answered. Errors, with which it is not: RESOURCE_EXHAUSTED, with
  /// limit (also for programs: calls, rows or bytes) and pushback, when too many calls, rows or
  /// bytes wait; UNAVAILABLE while stopping.
  absl::Status Submit(PendingScore* call) ABSL_LOCKS_EXCLUDED(pool_.mutex_);

  /// What a row takes of this process (service_time.h); nothing before the first one was computed.
  /// Reads a value.
  std::optional<double> service_seconds() const {
    const double seconds = service_seconds_.load(std::memory_order_relaxed);
    return seconds > 0.0 ? std::optional(seconds) : std::nullopt;
  }

 private:
  friend class ScorePool;

  absl::Status CheckRoom(const PendingScore& call) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool_.mutex_);
  /// `name` is the limit's for programs, `what` for people.
  absl::Status Full(size_t has, size_t limit, const char* name, const char* what) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool_.mutex_);
  /// Takes out the calls whose callers have gone.
  std::vector<PendingScore*> TakeGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool_.mutex_);
  /// The next batch for one of `workers` that could share what waits.
  std::vector<PendingScore*> TakeBatch(size_t workers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool_.mutex_);
  /// The same, for the pool, under its lock: the analysis can't see that it is the queue's.
  std::vector<PendingScore*> TakeTurn(size_t workers, bool& more) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::vector<PendingScore*> batch = TakeBatch(workers);
    more = !waiting_.empty();
    return batch;
  }
  void Forget(const PendingScore& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool_.mutex_);

  size_t domain() const { return options_.domain; }
  void SetServiceSeconds(std::optional<double> seconds) {
    service_seconds_.store(seconds.value_or(0.0), std::memory_order_relaxed);
  }

  /// On a worker of the pool, without a lock. They return how many rows were computed.
  size_t Process(const std::vector<PendingScore*>& calls);
  size_t Run(const std::vector<PendingScore*>& calls, size_t rows);
  size_t RunEach(const std::vector<PendingScore*>& calls, const absl::Status& why,
                 core::Clock::time_point started);

  const ExpertSpec& spec_;
  const Scorer scorer_;
  DomainMetrics& metrics_;
  const ScoreQueueOptions options_;
  ScorePool& pool_;
  std::deque<PendingScore*> waiting_ ABSL_GUARDED_BY(pool_.mutex_);
  size_t waiting_rows_ ABSL_GUARDED_BY(pool_.mutex_) = 0;
  core::LinearTime time_ ABSL_GUARDED_BY(pool_.mutex_);  // by rows
  std::atomic<double> service_seconds_ = 0.0;            // of a row; 0: not known yet
};

}  // namespace orchard::experts::internal
