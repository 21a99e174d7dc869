#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"

#include "core/clock.h"
#include "core/micro_batcher.h"
#include "experts/expert_metrics.h"
#include "experts/expert_spec.h"
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
  size_t max_batch = 32;                 ///< rows computed together, unless one call has more
  size_t max_waiting = 256;              ///< calls; one more is refused
  size_t workers = 1;                    ///< threads
  std::function<void()> start_worker{};  ///< runs first on each worker; may be empty
};

/// One domain's calls, from all routers: queue → batch across callers → head → answers. A call is
/// dropped before it costs anything when its caller has gone. Thread-safe.
class ScoreQueue {
 public:
  /// `spec` and `metrics` outlive it.
  ScoreQueue(const ExpertSpec& spec, Scorer scorer, DomainMetrics& metrics,
             ScoreQueueOptions options);

  /// `call` must live until it is answered. Errors, with which it is not: RESOURCE_EXHAUSTED when
  /// `max_waiting` calls wait, UNAVAILABLE while stopping.
  absl::Status Submit(PendingScore* call) { return batcher_.Submit(std::move(call)); }

 private:
  void Process(std::vector<PendingScore*> calls);
  void Run(const std::vector<PendingScore*>& calls, size_t rows);

  const ExpertSpec& spec_;
  const Scorer scorer_;
  DomainMetrics& metrics_;
  const size_t max_batch_;
  core::MicroBatcher<PendingScore*> batcher_;  // Last: its threads use the rest.
};

}  // namespace orchard::experts::internal
