#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "bench/fleet/cores.h"
#include "bench/fleet/events.h"
#include "bench/fleet/plan.h"
#include "bench/fleet/times.h"
#include "core/linear_time.h"
#include "experts/service_time.h"

namespace orchard::bench {

/// What a pod says.
struct Reply {
  absl::StatusCode code = absl::StatusCode::kOk;
  size_t reported = 0;           ///< rows in flight there
  double service_seconds = 0.0;  ///< a row; 0: not known yet
  std::optional<std::chrono::milliseconds> pushback = std::nullopt;
};

/// One attempt of a call, as both ends see it.
struct Attempt {
  class Caller {
   public:
    virtual void Arrived(const Attempt& attempt, const Reply& reply) = 0;

   protected:
    ~Caller() = default;
  };

  Caller* caller;
  std::uint64_t call;  ///< the caller's number of it, and which of its attempts
  size_t number;
  size_t rows;
  Clock::time_point deadline;
  bool cancelled = false;          ///< the caller has hung up
  Clock::time_point arrived = {};  ///< at the pod
};

/// An expert's process: calls → queue → batch across callers → answers, as
/// experts/internal/score_queue.h has it with threads. Serves one domain.
class Pod {
 public:
  enum class State : std::uint8_t {
    kServing,
    kDraining,  ///< finishes what it has, and takes what still comes; health says no
    kDead,      ///< connections are reset
    kSilent,    ///< nothing comes back
  };

  /// `host`: shared cores; null: its own. All outlive it; what is planned needs it, so a pod that
  /// has gone is kept.
  Pod(Events& events, const PodPlan& plan, const DomainPlan& domain, std::string address,
      size_t zone, Random& random, Cores* host);

  const std::string& address() const { return address_; }
  size_t zone() const { return zone_; }
  State state() const { return state_; }
  Clock::time_point since() const { return since_; }  ///< of its state

  /// An attempt leaves the router. It arrives after a hop, and the reply comes after another.
  void Ask(std::shared_ptr<Attempt> attempt);

  void Drain();
  void Fail(State how);  ///< kDead or kSilent

  std::uint64_t rows() const { return rows_done_; }  ///< computed
  double used() { return cores_.used() - used_before_; }
  double cores() const { return cores_.cores(); }
  Clock::time_point born() const { return born_; }
  /// From here on rows() and used() count.
  void BeginMeasuring();

 private:
  using AttemptPtr = std::shared_ptr<Attempt>;
  struct Batch {
    std::vector<AttemptPtr> attempts;
    size_t rows = 0;
    Clock::time_point began;
  };

  bool gone() const { return state_ == State::kDead || state_ == State::kSilent; }
  void Arrive(const AttemptPtr& attempt);
  void Enqueue(const AttemptPtr& attempt);
  bool HasRoom(size_t rows) const;
  void DropGone();
  void Refuse(const AttemptPtr& attempt);
  void Start();
  Batch Take();
  void Finish(Batch& batch);
  void Answer(const AttemptPtr& attempt, Reply reply);
  void DieWhenIdle();

  Events& events_;
  const PodPlan& plan_;
  const DomainPlan& domain_;
  const std::string address_;
  const size_t zone_;
  Random& random_;
  std::unique_ptr<Cores> own_;
  Cores& cores_;
  const Clock::time_point born_;
  experts::ServiceTime service_time_;
  core::LinearTime batch_time_;

  State state_ = State::kServing;
  Clock::time_point since_;
  std::deque<AttemptPtr> waiting_;
  std::vector<AttemptPtr> received_;  // arrived, and not yet read
  size_t waiting_rows_ = 0;
  size_t rows_in_flight_ = 0;
  size_t busy_ = 0;  // workers
  std::vector<std::shared_ptr<Batch>> running_;
  std::uint64_t rows_done_ = 0;
  double used_before_ = 0.0;
};

}  // namespace orchard::bench
