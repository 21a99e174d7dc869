#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include <grpcpp/client_context.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/timer_queue.h"
#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "experts/fleet_events.h"
#include "experts/internal/endpoint.h"
#include "orchard/v1/expert.pb.h"

namespace orchard::experts::internal {

class CallGroup;

/// What a call needs of the expert that makes it; outlives every call. Thread-safe.
class CallHost {
 public:
  virtual const ExpertSpec& spec() const = 0;
  virtual CallGroup& calls() = 0;
  virtual core::TimerQueue& timers() = 0;

  /// An endpoint for `rows` rows at none of the addresses `except`, as fits an attempt of that kind
  /// (endpoint_choice.h); null: there is none.
  virtual std::shared_ptr<Endpoint> Choose(size_t rows, const std::vector<std::string>& except,
                                           AttemptRecord::Kind kind) = 0;
  /// One extra try, if the budget allows.
  virtual bool TakeRetry() = 0;
  virtual bool TakeHedge() = 0;
  /// After what time somebody else is to be asked too; nothing: never.
  virtual std::optional<core::Clock::duration> HedgeAfter() = 0;
  /// How long an endpoint must have had before silence is its fault.
  virtual core::Clock::duration FairTime() = 0;

  virtual void Hedged(HedgeResult result) = 0;
  virtual void Retried() = 0;

  struct AttemptEnd {
    Endpoint& endpoint;
    Endpoint::Ended ended;
    core::Clock::duration took = {};
    bool foreign = false;          ///< it holds another model
    std::string message;           ///< of a failure
    std::string part_version;      ///< of an answer
    double service_seconds = 0.0;  ///< what a row takes of it, as it said; 0: it did not
  };
  virtual void Ended(const AttemptEnd& end) = 0;

 protected:
  ~CallHost() = default;
};

/// One Score on its way: the attempts, of which the first good answer wins and the others are
/// cancelled. Thread-safe; kept alive by its attempts in progress.
///
/// An attempt that fails in a way that another endpoint may cure is followed by one elsewhere; one
/// that takes longer than nearly all answers do is joined by one elsewhere (a hedge), in good time
/// where the budget of hedges allows it, and otherwise once it counts as hung.
class Call : public std::enable_shared_from_this<Call> {
 public:
  /// `request` is what is sent; `done` is called exactly once.
  Call(CallHost& host, v1::ScoreRequest request, size_t rows, CallContext context,
       Expert::Done done);

  /// Once.
  void Start(std::shared_ptr<Endpoint> endpoint);

 private:
  struct Attempt {
    AttemptRecord record;
    std::shared_ptr<Endpoint> endpoint;
    std::shared_ptr<grpc::ClientContext> grpc;  // shared with the group, which may cancel it
    Endpoint::Ticket ticket = 0;
    v1::ScoreResponse response;
    size_t number = 0;  // in the log
    bool ended = false;
  };
  /// What the stop token runs. Weak: the call owns the stop_callback.
  struct CancelCall {
    std::weak_ptr<Call> call;
    void operator()() const {
      if (const auto self = call.lock()) self->Cancel();
    }
  };
  using Watch = std::stop_callback<CancelCall>;

  /// What is cancelled without the lock. A context goes before the endpoint whose channel it holds.
  struct Held {
    std::shared_ptr<Endpoint> endpoint;
    std::shared_ptr<grpc::ClientContext> grpc;
  };

  Attempt* Begin(std::shared_ptr<Endpoint> endpoint, AttemptRecord::Kind kind)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(Attempt& attempt);
  void Arrived(Attempt& attempt, absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  CallHost::AttemptEnd End(Attempt& attempt, const absl::Status& status, bool& last)
      ABSL_LOCKS_EXCLUDED(mutex_);
  bool MayRetry(const absl::Status& status) const;
  bool Retry() ABSL_LOCKS_EXCLUDED(mutex_);
  bool WasCancelled() ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveUp() ABSL_LOCKS_EXCLUDED(mutex_);
  /// The budget that a second attempt takes from.
  enum class Lateness : std::uint8_t {
    kLate,  ///< as one of twenty is: that of hedges, which what is merely late may use up
    kHung,  ///< as long as silence is a fault: that of retries
  };
  void HedgeAt(core::Clock::time_point when, Lateness lateness)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Hedge(Lateness lateness) ABSL_LOCKS_EXCLUDED(mutex_);
  Attempt* BeginHedge(Lateness lateness) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(absl::StatusOr<model::ScoreBatch> scores, MissingReason reason,
              std::string part_version) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::string> Tried() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Held> Outstanding() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CallHost& host_;
  const v1::ScoreRequest request_;
  const size_t rows_;
  const core::Clock::time_point deadline_;
  const std::stop_token cancel_;
  const std::shared_ptr<AttemptLog> log_;  // null: nobody wants to know

  core::Mutex mutex_;
  Expert::Done done_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Attempt>> attempts_ ABSL_GUARDED_BY(mutex_);
  size_t outstanding_ ABSL_GUARDED_BY(mutex_) = 0;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;   // `done_` was called, or is being
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // nobody waits any more
  core::TimerQueue::Timer hedge_ ABSL_GUARDED_BY(mutex_){};
  std::unique_ptr<Watch> watch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::experts::internal
