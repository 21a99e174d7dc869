#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "core/timer_queue.h"
#include "experts/expert.h"
#include "experts/hedge_delay.h"
#include "experts/internal/call.h"
#include "experts/internal/call_group.h"
#include "experts/internal/endpoint_board.h"
#include "experts/mean_service_time.h"
#include "experts/ratio_budget.h"
#include "experts/remote_expert.h"

namespace orchard::experts::internal {

/// What a RemoteExpert is made of: the board of its endpoints, the calls in progress, the budgets,
/// and the timer that looks after all of it. Thread-safe.
class Domain final : public CallHost {
 public:
  /// Resolver and timers outlive it. Nothing happens before Begin().
  Domain(ExpertSpec spec, RemoteExpertOptions options, Resolver& resolver,
         core::TimerQueue& timers);
  ~Domain() { Stop(); }
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  void Begin(std::vector<Target> targets);
  void Score(SubBatch batch, CallContext context, Expert::Done done);
  void Stop();

  /// RemoteExpert::ServiceSeconds().
  std::optional<double> ServiceSeconds() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return service_.seconds();
  }

  EndpointBoard& board() { return board_; }
  const EndpointBoard& board() const { return board_; }

  /// One round: looks at the channels, judges, probes who needs it.
  void Tend();

  /// Somebody waits until somebody is up.
  void Hurry();

  // CallHost.
  const ExpertSpec& spec() const override { return spec_; }
  CallGroup& calls() override { return calls_; }
  core::TimerQueue& timers() override { return timers_; }
  std::shared_ptr<Endpoint> Choose(size_t rows, const std::vector<std::string>& except,
                                   AttemptRecord::Kind kind) override;
  bool TakeRetry() override ABSL_LOCKS_EXCLUDED(mutex_);
  bool TakeHedge() override ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<core::Clock::duration> HedgeAfter() override ABSL_LOCKS_EXCLUDED(mutex_);
  core::Clock::duration FairTime() override ABSL_LOCKS_EXCLUDED(mutex_);
  void Hedged(HedgeResult result) override;
  void Retried() override;
  void Ended(const AttemptEnd& end) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  /// Shared with the timer's function, which may come when we are gone.
  struct Tending {
    core::Mutex mutex;
    Domain* domain ABSL_GUARDED_BY(mutex) = nullptr;  // null: not begun, or stopped
  };

  static void TendAgain(const std::shared_ptr<Tending>& tending);
  void Probe(const std::shared_ptr<Endpoint>& endpoint);
  bool IsOurs(const v1::ExpertDescription& description, PartSeen& part) const;
  void NoteServiceTime(const v1::ExpertDescription& description) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Nobody() const;
  void NoteForeign(Endpoint& endpoint, const std::string& message);

  const ExpertSpec spec_;
  const RemoteExpertOptions options_;
  core::TimerQueue& timers_;
  std::atomic<std::uint64_t> choices_;
  core::Mutex mutex_;
  HedgeDelay delay_ ABSL_GUARDED_BY(mutex_);
  RatioBudget retries_ ABSL_GUARDED_BY(mutex_);
  RatioBudget hedges_ ABSL_GUARDED_BY(mutex_);
  MeanServiceTime service_ ABSL_GUARDED_BY(mutex_);
  EndpointBoard board_;
  const std::shared_ptr<Tending> tending_;
  CallGroup calls_;  // Last: what it waits for uses the rest.
};

}  // namespace orchard::experts::internal
