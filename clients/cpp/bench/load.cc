#include "clients/cpp/bench/load.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <queue>
#include <unordered_map>
#include <utility>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include "clients/cpp/bench/arrivals.h"
#include "clients/cpp/channel.h"
#include "core/mutex.h"
#include "core/status.h"
#include "rpc/status.h"

namespace orchard::client {
namespace {

using core::Clock;

constexpr char kClassify[] = "/orchard.v1.Classifier/Classify";
constexpr std::chrono::milliseconds kPauseAfterFailure{10};
constexpr std::chrono::milliseconds kGlance{100};  // how often a waiting loop looks whether to end
constexpr std::chrono::seconds kGrace{5};          // for gRPC to notice that a deadline has passed

/// A request as its bytes: gRPC's slices are counted references, so that a thousand requests with
/// one picture hold it once.
grpc::ByteBuffer Serialize(const v1::ClassifyRequest& request) {
  const grpc::Slice slice(request.SerializeAsString());
  return {&slice, 1};
}

}  // namespace

class Load::Runner {
 public:
  Runner(Client::Options server, LoadPlan plan, const std::vector<v1::ClassifyRequest>& requests)
      : server_(std::move(server)), plan_(plan) {
    for (const v1::ClassifyRequest& request : requests) requests_.push_back(Serialize(request));
  }

  absl::StatusOr<LoadResult> Run(const std::atomic<bool>& interrupted) {
    ORCHARD_RETURN_IF_ERROR(Connect());
    interrupted_ = &interrupted;
    const Clock::time_point start = Clock::now();
    window_begin_ = start + plan_.warm_up;
    window_end_ = plan_.requests ? Clock::time_point::max() : window_begin_ + plan_.duration;
    const Clock::time_point end = plan_.rate ? RunOpen(start) : RunClosed();
    AwaitAnswers();
    core::MutexLock lock(mutex_);
    result_.interrupted = interrupted;
    result_.tally.lost = result_.tally.sent - result_.tally.ok - result_.tally.failed;
    const bool to_the_last = plan_.requests && !plan_.rate;
    result_.window =
        std::max(Clock::duration::zero(), (to_the_last ? last_answer_ : end) - window_begin_);
    return result_;
  }

 private:
  using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::ClassifyResponse>;

  /// One request under way. Its context holds the channel, whose last reference may not be dropped
  /// on a thread of gRPC 1.51 (it would join itself): so the runner alone owns it, and lets it go
  /// on its own thread.
  struct Call {
    grpc::ClientContext context;
    v1::ClassifyResponse response;
    Clock::time_point planned;
    bool counted = false;
  };

  absl::Status Connect() {
    ORCHARD_ASSIGN_OR_RETURN(const auto credentials, rpc::ChannelCredentialsFrom(server_.tls));
    const std::vector<std::string>& servers = server_.servers;
    for (size_t i = 0; i < plan_.connections * servers.size(); ++i) {
      channels_.push_back(MakeChannel(servers[i % servers.size()], credentials));
      stubs_.push_back(std::make_unique<Stub>(channels_.back()));
    }
    const Clock::time_point deadline = Clock::now() + plan_.timeout;
    for (const auto& channel : channels_) channel->GetState(/*try_to_connect=*/true);
    for (size_t i = 0; i < channels_.size(); ++i) {
      if (!IsConnectedBy(*channels_[i], deadline)) {
        return NobodyConnected({servers[i % servers.size()]}, server_.tls);
      }
    }
    return absl::OkStatus();
  }

  /// Requests when they are due. Returns the end of the window.
  Clock::time_point RunOpen(Clock::time_point start) {
    PoissonArrivals arrivals(*plan_.rate, plan_.seed);
    for (;;) {
      const Clock::time_point due = start + arrivals.Next();
      const Clock::time_point wait = std::min(due, window_end_);
      if (IsAllPlanned() || !SleepUntil(wait)) return std::max(window_begin_, Clock::now());
      if (due >= window_end_) return window_end_;
      Plan(due);
      if (HasRoom(due)) Send(due);
    }
  }

  /// A request whenever one of `concurrency` has ended. Returns the end of the window.
  Clock::time_point RunClosed() {
    {
      core::MutexLock lock(mutex_);
      for (size_t i = 0; i < plan_.concurrency; ++i) ready_.push(Clock::now());
    }
    while (!IsAllPlanned() && AwaitReady()) {
      const Clock::time_point now = Clock::now();
      if (now >= window_end_) return window_end_;
      Plan(now);
      Send(now);
    }
    return std::min(window_end_, std::max(window_begin_, Clock::now()));
  }

  bool IsCounted(Clock::time_point planned) const { return planned >= window_begin_; }

  bool IsAllPlanned() {
    core::MutexLock lock(mutex_);
    return plan_.requests && result_.tally.planned >= *plan_.requests;
  }

  void Plan(Clock::time_point due) {
    core::MutexLock lock(mutex_);
    ++(IsCounted(due) ? result_.tally.planned : result_.warmed_up);
  }

  /// Counts a request that has to stay here.
  bool HasRoom(Clock::time_point due) {
    core::MutexLock lock(mutex_);
    if (under_way_.size() < plan_.max_outstanding) return true;
    if (IsCounted(due)) ++result_.tally.not_sent;
    return false;
  }

  bool IsInterrupted() const { return interrupted_->load(std::memory_order_relaxed); }

  /// False when the run was interrupted before.
  bool SleepUntil(Clock::time_point due) {
    core::MutexLock lock(mutex_);
    while (!IsInterrupted() && Clock::now() < due) {
      lock.WaitUntil(never_, std::min(due, Clock::now() + kGlance));
    }
    return !IsInterrupted();
  }

  /// Waits until a request of the closed loop may begin, and takes it; or the window ends. False
  /// when the run was interrupted before.
  bool AwaitReady() {
    core::MutexLock lock(mutex_);
    for (;;) {
      const Clock::time_point now = Clock::now();
      if (IsInterrupted()) return false;
      if (now >= window_end_) return true;
      if (!ready_.empty() && ready_.top() <= now) {
        ready_.pop();
        return true;
      }
      Clock::time_point until = std::min(window_end_, now + kGlance);
      if (!ready_.empty()) until = std::min(until, ready_.top());
      lock.WaitUntil(changed_, until);
    }
  }

  void Send(Clock::time_point planned) {
    LetGoOfEnded();
    auto owned = std::make_unique<Call>();
    Call* const call = owned.get();
    call->planned = planned;
    call->counted = IsCounted(planned);
    SetDeadline(call->context, planned + plan_.timeout);
    {
      core::MutexLock lock(mutex_);
      under_way_.emplace(call, std::move(owned));
      if (call->counted) result_.tally.Sent(Clock::now() - planned);
    }
    const size_t turn = turn_++;
    stubs_[turn % stubs_.size()]->UnaryCall(
        &call->context, kClassify, grpc::StubOptions(), &requests_[turn % requests_.size()],
        &call->response, [this, call](const grpc::Status& status) { End(call, status); });
  }

  void LetGoOfEnded() {
    std::vector<std::unique_ptr<Call>> ended;
    core::MutexLock lock(mutex_);
    ended.swap(ended_);  // Dies after the lock is given back: it was made before.
  }

  void End(Call* call, const grpc::Status& status) {
    const Clock::time_point now = Clock::now();
    const absl::Status end = rpc::FromGrpc(status);
    const auto pushback = rpc::PushbackOf(call->context);
    core::MutexLock lock(mutex_);
    const auto place = under_way_.find(call);
    ended_.push_back(std::move(place->second));
    under_way_.erase(place);
    const bool ours = given_up_ && absl::IsCancelled(end);
    if (call->counted && !ours) {
      last_answer_ = std::max(last_answer_, now);
      if (end.ok()) {
        result_.tally.Answered(call->response, now - call->planned, plan_.slo);
      } else {
        result_.tally.Failed(end, now - call->planned);
      }
    }
    if (!plan_.rate) ready_.push(now + (end.ok() ? Clock::duration::zero() : Pause(pushback)));
    changed_.notify_all();
  }

  static Clock::duration Pause(const std::optional<std::chrono::milliseconds>& pushback) {
    return std::max(kPauseAfterFailure, pushback.value_or(kPauseAfterFailure));
  }

  /// Every request ends by its deadline; those of an interrupted run now.
  void AwaitAnswers() {
    if (!AwaitNoneUntil(Clock::now() + plan_.timeout + kGrace)) {
      std::vector<Call*> rest;  // They stay, ended or not, until this thread lets them go.
      {
        core::MutexLock lock(mutex_);
        given_up_ = true;
        for (const auto& [call, owned] : under_way_) rest.push_back(call);
      }
      for (Call* call : rest) call->context.TryCancel();  // Not under the lock: it may end.
      core::MutexLock lock(mutex_);
      while (!under_way_.empty()) lock.Wait(changed_);  // Their callbacks use this object.
    }
  }

  /// Waits until nothing is under way. False when `deadline` passes or the run is interrupted.
  bool AwaitNoneUntil(Clock::time_point deadline) {
    core::MutexLock lock(mutex_);
    while (!under_way_.empty()) {
      if (IsInterrupted() || Clock::now() >= deadline) return false;
      lock.WaitUntil(changed_, std::min(deadline, Clock::now() + kGlance));
    }
    return true;
  }

  const Client::Options server_;
  const LoadPlan plan_;
  std::vector<grpc::ByteBuffer> requests_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;  // shared with the stubs, as gRPC wants it
  std::vector<std::unique_ptr<Stub>> stubs_;
  const std::atomic<bool>* interrupted_ = nullptr;
  Clock::time_point window_begin_, window_end_;
  size_t turn_ = 0;  // of the thread that sends

  core::Mutex mutex_;
  std::condition_variable changed_;  // something has ended
  std::condition_variable never_;    // for sleeping, where only time matters
  std::unordered_map<Call*, std::unique_ptr<Call>> under_way_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Call>> ended_ ABSL_GUARDED_BY(mutex_);  // for LetGoOfEnded()
  // When requests of the closed loop may begin.
  std::priority_queue<Clock::time_point, std::vector<Clock::time_point>, std::greater<>> ready_
      ABSL_GUARDED_BY(mutex_);
  bool given_up_ ABSL_GUARDED_BY(mutex_) = false;
  Clock::time_point last_answer_ ABSL_GUARDED_BY(mutex_);
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

Load::Load(Client::Options server, LoadPlan plan, std::vector<v1::ClassifyRequest> requests)
    : runner_(std::make_unique<Runner>(std::move(server), plan, requests)) {}

Load::~Load() = default;

absl::StatusOr<LoadResult> Load::Run(const std::atomic<bool>& interrupted) {
  return runner_->Run(interrupted);
}

}  // namespace orchard::client
