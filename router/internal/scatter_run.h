#pragma once

#include <cassert>
#include <chrono>
#include <compare>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "core/tensor.h"
#include "core/timer_queue.h"
#include "experts/expert.h"
#include "router/cold_starts.h"
#include "router/encode_stage.h"
#include "router/gather.h"
#include "router/request.h"
#include "router/request_record.h"
#include "router/scatter.h"

namespace orchard::router {

/// The waves of one micro-batch, all of whose pictures are of one model. Its owners are the calls,
/// the timer and the callers' watches that are still to come, and the pool.
///
/// Whatever comes is put into the inbox, and one thread at a time, the runner, takes it up (Run):
/// everything but the inbox is the runner's alone. Who puts something in while nobody runs hands
/// the micro-batch to the pool.
class Scatter : public std::enable_shared_from_this<Scatter> {
 public:
  Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests);

  /// Takes up what has come, and goes as far as that leads. The caller is the runner: by making
  /// this object, or by Post.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  /// An expert's answer to calls_[call].
  struct Arrival {
    size_t call;
    core::Clock::time_point when;
    experts::Scored scored;
  };
  struct Inbox {
    std::vector<Arrival> answers;
    std::vector<size_t> gone;   // rows whose callers have gone
    std::vector<size_t> woken;  // domains that need not be waited for any more
    bool due = false;           // the timer

    bool empty() const { return answers.empty() && gone.empty() && woken.empty() && !due; }
  };
  /// What a caller's going runs.
  struct TellGone {
    std::shared_ptr<Scatter> scatter;
    size_t row;
    void operator()() const {
      scatter->Post([this](Inbox& inbox) { inbox.gone.push_back(row); });
    }
  };
  using Watch = std::unique_ptr<std::stop_callback<TellGone>>;

  struct Picture {
    RequestPtr request;  // null: it has gone on
    Gather gather;
    Watch watch = nullptr;                      // Holds the scatter, until the picture goes on.
    bool complete = false;                      // There is nobody more to ask.
    core::Clock::time_point waited_until = {};  // for domains that are being started
  };
  /// A domain that a picture is to be asked about.
  struct Planned {
    size_t domain;
    size_t row;
    auto operator<=>(const Planned&) const = default;
  };
  /// One Expert::Score.
  struct Call {
    size_t domain;
    std::vector<size_t> rows;
    size_t waiting;  // of its rows: pictures that have not gone on
    core::Clock::time_point begin;
    core::Clock::time_point deadline;
    std::shared_ptr<experts::AttemptLog> attempts = nullptr;  // Null: no waves are kept.
    std::stop_source cancel = {};
    bool over = false;  // Answered, or not waited for any more.
  };

  struct HeldRow {
    size_t row;
    core::Clock::time_point until;
  };
  /// Rows that wait until a domain is there.
  struct Held {
    size_t domain;
    core::Clock::time_point since;
    std::vector<HeldRow> rows;
    ColdStarts::Ticket ticket;  // Holds the scatter.
  };

  template <typename Put>
  void Post(Put put) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Rest() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUp() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUpAnswer(Arrival arrival);
  void TakeUpTime(core::Clock::time_point now);
  void EndCall(Call& call, experts::Scored scored, core::Clock::time_point now);
  void Plan();
  void PlanFor(size_t row, core::Clock::time_point now);
  bool IsWaitedFor(size_t row) const;
  std::vector<size_t> TakePlanned(size_t domain);
  void Ask();
  void Send(size_t domain, std::vector<size_t> rows);
  void MakeCall(size_t domain, std::vector<size_t> rows, experts::SubBatch batch);
  absl::StatusOr<experts::SubBatch> SubBatchOf(size_t domain, const std::vector<size_t>& rows);
  void FailUnasked(size_t row, size_t domain, absl::Status why, experts::MissingReason reason);
  void Hold(size_t domain, const std::vector<size_t>& rows);
  ColdStarts::Ticket WaitFor(size_t domain, size_t rows);
  void Release(size_t domain);
  void EndHolding(core::Clock::time_point now);
  void LeaveHeld(size_t row, core::Clock::time_point now);
  void NoteWait(size_t row, const Held& held, core::Clock::time_point now);
  void TellHeld(const Held& held, size_t rows, core::Clock::time_point now,
                std::string_view result) const;
  void KeepWatch();
  void GoOn(size_t row);
  void Leave(size_t row, core::Clock::time_point now);
  CallRecord RecordOf(const Call& call, absl::StatusCode code, core::Clock::time_point now) const;
  void Keep(size_t row, const CallRecord& record);
  void Report(const Call& call, core::Clock::duration took, const absl::Status& status,
              experts::MissingReason reason);

  ScatterStage& stage_;
  const ScatterStage::Presence presence_;     // Before what follows: the stage outlives all of it.
  const std::shared_ptr<ServedModel> model_;  // of all its pictures
  core::Mutex mutex_;
  Inbox inbox_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = true;  // The maker is the first runner.

  // The runner's.
  core::FeatureBatch features_;  // Its views are shared with the calls.
  const model::GateBatch gates_;
  std::vector<Picture> pictures_;  // by row
  size_t waiting_;                 // pictures that have not gone on
  std::vector<size_t> ready_;      // rows to plan for
  std::vector<Planned> planned_;   // in descending order: the next to ask stands last
  PlanRoom room_;
  std::vector<std::optional<experts::MissingReason>> unavailable_;  // by domain, as of this plan
  std::vector<Call> calls_;
  std::vector<Held> held_;
  std::optional<core::TimerQueue::Timer> timer_;
};

/// On any thread: `put` changes the inbox, under the lock.
template <typename Put>
void Scatter::Post(Put put) {
  {
    core::MutexLock lock(mutex_);
    put(inbox_);
    if (running_) return;  // That thread sees it before it rests.
    running_ = true;
  }
  [[maybe_unused]] const absl::Status taken = stage_.pool_.Submit(shared_from_this());
  assert(taken.ok());  // It has no limit, and the stage waits for us before it stops.
}

}  // namespace orchard::router
