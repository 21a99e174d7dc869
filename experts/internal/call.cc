#include "experts/internal/call.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"

#include "experts/call_policy.h"
#include "experts/internal/call_group.h"
#include "experts/metadata.h"
#include "experts/wire.h"
#include "rpc/status.h"

namespace orchard::experts::internal {

using core::Clock;

namespace {

constexpr std::chrono::hours kLongestCall{1};  // "No deadline" would not survive the arithmetic.

/// gRPC's deadlines are on the system's clock.
std::chrono::system_clock::time_point ToSystem(Clock::time_point deadline) {
  const auto now = Clock::now();
  const auto left = std::min<Clock::duration>(deadline - std::min(now, deadline), kLongestCall);
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

/// A number among what the expert said beside its answer; 0 when it said nothing.
size_t Trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto trailer = trailers.find(name);
  if (trailer == trailers.end()) return 0;
  size_t number = 0;
  const grpc::string_ref& text = trailer->second;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Clock::duration Micros(size_t count) {
  constexpr size_t kMost = size_t{1} << 40;  // The other end may say anything.
  return std::chrono::microseconds(std::min(count, kMost));
}

/// It holds another model: another encoder's expert, another meaning, or not our domain.
bool IsForeign(absl::StatusCode code) {
  return code == absl::StatusCode::kFailedPrecondition || code == absl::StatusCode::kNotFound;
}

/// The same with domain and address. CANCELLED is a dying server, or we are: nobody answered.
absl::Status Located(const absl::Status& status, const std::string& domain,
                     const std::string& address) {
  const auto code = absl::IsCancelled(status) ? absl::StatusCode::kUnavailable : status.code();
  return absl::Status(code, absl::StrCat(domain, " at ", address, ": ", status.message()));
}

}  // namespace

Call::Call(CallHost& host, v1::ScoreRequest request, size_t rows, CallContext context,
           Expert::Done done)
    : host_(host),
      request_(std::move(request)),
      rows_(rows),
      deadline_(context.deadline),
      cancel_(std::move(context.cancelled)),
      log_(std::move(context.attempts)),
      done_(std::move(done)) {}

void Call::Start(std::shared_ptr<Endpoint> endpoint) {
  const std::shared_ptr<Call> self = shared_from_this();  // The answer may come at once.
  const std::optional<Clock::duration> hedge_after = host_.HedgeAfter();
  Attempt* attempt = nullptr;
  {
    core::MutexLock lock(mutex_);
    attempt = Begin(std::move(endpoint), AttemptRecord::Kind::kFirst);
    if (attempt != nullptr && hedge_after) {
      HedgeAt(attempt->record.begin + *hedge_after, Lateness::kLate);
    }
  }
  if (attempt == nullptr) return GiveUp();
  Send(*attempt);
  if (!cancel_.stop_possible()) return;
  // Without the lock: when nobody waits already, this cancels at once.
  auto watch = std::make_unique<Watch>(cancel_, CancelCall{weak_from_this()});
  core::MutexLock lock(mutex_);
  if (!finished_) watch_.swap(watch);
}

/// An attempt that is to be sent; null when the expert is being stopped, or nobody waits any more.
/// From here on the host waits for it.
Call::Attempt* Call::Begin(std::shared_ptr<Endpoint> endpoint, AttemptRecord::Kind kind) {
  if (finished_ || cancelled_) return nullptr;
  auto attempt = std::make_unique<Attempt>();
  attempt->grpc = std::make_shared<grpc::ClientContext>();
  attempt->grpc->set_deadline(ToSystem(deadline_));
  if (!host_.calls().Enter(attempt->grpc)) return nullptr;
  attempt->endpoint = std::move(endpoint);
  attempt->record = {.kind = kind,
                     .endpoint = attempt->endpoint->address(),
                     .begin = Clock::now(),
                     .end = {},
                     .code = absl::StatusCode::kUnknown};
  attempt->ticket = attempt->endpoint->Started(rows_, attempt->record.begin);
  if (log_ != nullptr) attempt->number = log_->Began(attempt->record);
  ++outstanding_;
  return attempts_.emplace_back(std::move(attempt)).get();
}

void Call::Send(Attempt& attempt) {
  // The callback owns the call, and the call the attempt.
  attempt.endpoint->stub().async()->Score(
      attempt.grpc.get(), &request_, &attempt.response,
      [self = shared_from_this(), &attempt](const grpc::Status& status) mutable {
        CallHost& host = self->host_;
        self->Arrived(attempt, rpc::FromGrpc(status));
        // What the attempt kept alive goes last, and the context before its endpoint.
        std::shared_ptr<grpc::ClientContext> grpc = std::move(attempt.grpc);
        std::shared_ptr<Endpoint> endpoint = attempt.endpoint;
        {
          core::MutexLock lock(self->mutex_);
          attempt.endpoint.reset();
        }
        self.reset();
        host.calls().Leave(std::move(grpc), std::move(endpoint));  // Last: `host` may go after it.
      });
}

void Call::Arrived(Attempt& attempt, absl::Status status) {
  absl::StatusOr<model::ScoreBatch> scores =
      status.ok() ? ReadResponse(attempt.response, rows_, host_.spec().classes.size())
                  : absl::StatusOr<model::ScoreBatch>(status);
  if (status.ok()) status = scores.status();
  bool last = false;
  const CallHost::AttemptEnd end = End(attempt, status, last);
  host_.Ended(end);
  if (status.ok()) {
    return Finish(std::move(scores), MissingReason::kFailed, attempt.response.part_version());
  }
  if (last && !WasCancelled() && MayRetry(status) && Retry()) return;
  // What is wrong with the call is wrong everywhere; anything else, another attempt may cure.
  if (!last && !absl::IsInvalidArgument(status)) return;
  if (WasCancelled() && absl::IsCancelled(status)) return GiveUp();
  const MissingReason reason = ReasonOf(status);
  Finish(Located(status, host_.spec().domain, attempt.endpoint->address()), reason, "");
}

/// Closes the attempt's books. `last`: no other one is out.
CallHost::AttemptEnd Call::End(Attempt& attempt, const absl::Status& status, bool& last) {
  const Clock::time_point now = Clock::now();
  const bool fair = now - attempt.record.begin >= host_.FairTime();
  core::MutexLock lock(mutex_);
  attempt.ended = true;
  --outstanding_;
  last = outstanding_ == 0 && !finished_;
  attempt.record.end = now;
  attempt.record.code = status.code();
  attempt.record.queue = Micros(Trailer(*attempt.grpc, kQueueTrailer));
  attempt.record.compute = Micros(Trailer(*attempt.grpc, kComputeTrailer));
  if (log_ != nullptr) log_->Ended(attempt.number, attempt.record);
  // A deadline that left no time, and our own hanging up, say nothing of the endpoint.
  const bool hung_up = absl::IsCancelled(status) && (finished_ || cancelled_);
  const bool silence = hung_up || absl::IsDeadlineExceeded(status);
  return {
      .endpoint = *attempt.endpoint,
      .ended = {.ticket = attempt.ticket,
                .code = status.code(),
                .reported = Trailer(*attempt.grpc, kInFlightTrailer),
                .pushback = rpc::PushbackOf(*attempt.grpc),
                .is_fault = silence ? fair : IsFault(status.code()) || absl::IsCancelled(status),
                .abandoned = hung_up || (silence && !fair)},
      .took = now - attempt.record.begin,
      .foreign = IsForeign(status.code()),
      .message = std::string(status.message()),
      .part_version = attempt.response.part_version(),
      .service_seconds = static_cast<double>(Trailer(*attempt.grpc, kServiceTrailer)) * 1e-9};
}

/// Tries another endpoint, if there is one and the budget allows.
bool Call::Retry() {
  std::vector<std::string> tried;
  {
    core::MutexLock lock(mutex_);
    if (attempts_.size() >= kMaxAttempts) return false;
    tried = Tried();
  }
  std::shared_ptr<Endpoint> next = host_.Choose(rows_, tried, AttemptRecord::Kind::kRetry);
  if (next == nullptr || !host_.TakeRetry()) return false;
  Attempt* attempt = nullptr;
  {
    core::MutexLock lock(mutex_);
    attempt = Begin(std::move(next), AttemptRecord::Kind::kRetry);
  }
  if (attempt == nullptr) return false;
  host_.Retried();
  Send(*attempt);
  return true;
}

/// UNAVAILABLE and CANCELLED: it is going. RESOURCE_EXHAUSTED, INTERNAL, another model: another one
/// may be better.
bool Call::MayRetry(const absl::Status& status) const {
  const absl::StatusCode code = status.code();
  const bool curable = code == absl::StatusCode::kUnavailable ||
                       code == absl::StatusCode::kCancelled ||
                       code == absl::StatusCode::kResourceExhausted ||
                       code == absl::StatusCode::kInternal || IsForeign(code);
  return curable && !host_.calls().closed() && Clock::now() < deadline_;
}

bool Call::WasCancelled() {
  core::MutexLock lock(mutex_);
  return cancelled_;
}

/// Addresses: an attempt that has ended keeps no endpoint.
std::vector<std::string> Call::Tried() const {
  std::vector<std::string> tried;
  tried.reserve(attempts_.size());
  for (const auto& attempt : attempts_) tried.push_back(attempt->record.endpoint);
  return tried;
}

std::vector<Call::Held> Call::Outstanding() const {
  std::vector<Held> held;
  for (const auto& attempt : attempts_) {
    if (!attempt->ended) held.push_back({attempt->endpoint, attempt->grpc});
  }
  return held;
}

void Call::HedgeAt(Clock::time_point when, Lateness lateness) {
  if (when >= deadline_) return;
  hedge_ = host_.timers().At(when, [call = weak_from_this(), lateness] {
    if (const auto call_now = call.lock()) call_now->Hedge(lateness);
  });
}

/// On the timer's thread: asks somebody else too, while the first is still at it. The attempt that
/// is out keeps the host alive: it can't end while we hold the lock, and then ours is out as well.
void Call::Hedge(Lateness lateness) {
  Attempt* attempt = nullptr;
  {
    core::MutexLock lock(mutex_);
    if (finished_ || cancelled_ || outstanding_ != 1 || attempts_.size() != 1) return;
    attempt = BeginHedge(lateness);
    if (attempt == nullptr && lateness == Lateness::kLate) {
      HedgeAt(attempts_[0]->record.begin + host_.FairTime(), Lateness::kHung);
    }
  }
  if (attempt != nullptr) Send(*attempt);
}

/// Null when there is nobody else, or the budget is used up.
Call::Attempt* Call::BeginHedge(Lateness lateness) {
  std::shared_ptr<Endpoint> next = host_.Choose(rows_, Tried(), AttemptRecord::Kind::kHedge);
  if (next == nullptr) return nullptr;
  const bool allowed = lateness == Lateness::kLate ? host_.TakeHedge() : host_.TakeRetry();
  return allowed ? Begin(std::move(next), AttemptRecord::Kind::kHedge) : nullptr;
}

void Call::Cancel() {
  std::vector<Held> calls;
  {
    core::MutexLock lock(mutex_);
    if (finished_) return;
    cancelled_ = true;
    calls = Outstanding();
  }
  for (const Held& call : calls) call.grpc->TryCancel();
}

/// Ends a call that has nobody to ask, or that nobody waits for.
void Call::GiveUp() {
  if (WasCancelled()) {
    return Finish(absl::CancelledError("nobody waits for the answer any more"),
                  MissingReason::kTimeout, "");
  }
  Finish(absl::UnavailableError(
             absl::StrCat("the expert of ", host_.spec().domain, " is being shut down")),
         MissingReason::kDown, "");
}

void Call::Finish(absl::StatusOr<model::ScoreBatch> scores, MissingReason reason,
                  std::string part_version) {
  Expert::Done done;
  std::unique_ptr<Watch> watch;
  std::vector<Held> losers;
  std::optional<HedgeResult> hedged;
  core::TimerQueue::Timer hedge;
  {
    core::MutexLock lock(mutex_);
    if (finished_) return;
    finished_ = true;
    done = std::move(done_);
    watch = std::move(watch_);
    hedge = std::exchange(hedge_, {});
    for (const auto& attempt : attempts_) {
      if (attempt->record.kind == AttemptRecord::Kind::kHedge) {
        const bool won = attempt->ended && attempt->record.code == absl::StatusCode::kOk;
        hedged = !scores.ok() ? HedgeResult::kFailed : won ? HedgeResult::kWon : HedgeResult::kLost;
      }
    }
    losers = Outstanding();
  }
  if (hedge != core::TimerQueue::Timer{}) host_.timers().Cancel(hedge);
  if (hedged) host_.Hedged(*hedged);
  for (const Held& loser : losers) loser.grpc->TryCancel();
  losers.clear();
  watch.reset();  // Without the lock: it waits for a Cancel() that runs on another thread.
  std::move(done)(
      {.scores = std::move(scores), .reason = reason, .part_version = std::move(part_version)});
}

}  // namespace orchard::experts::internal
