// What comes to a micro-batch: answers, the timer, callers that go; and where it leads.
#include "router/internal/scatter_run.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_format.h"

namespace orchard::router {

using core::Clock;

namespace {

/// An expert that is late says so itself, and whom it asked; one that does not is waited for so
/// much longer.
constexpr std::chrono::milliseconds kGrace{20};

}  // namespace

Scatter::Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests)
    : stage_(stage),
      presence_(stage),
      model_(requests.front()->model),
      features_(std::move(encoded.features)),
      gates_(std::move(encoded.gates)),
      waiting_(requests.size()),
      unavailable_(model_->experts().domains()) {
  pictures_.reserve(requests.size());
  ready_.reserve(requests.size());
  planned_.reserve(requests.size());
  room_.wave.reserve(unavailable_.size());
  room_.wanted.reserve(unavailable_.size());
  for (size_t row = 0; row < requests.size(); ++row) {
    const moe::Policy& policy = requests[row]->options.policy;
    pictures_.push_back(
        {std::move(requests[row]), Gather(policy, gates_.LogDomain(row), model_->catalogue())});
    ready_.push_back(row);
  }
}

/// Whether there is nothing to take up: then the caller is the runner no more.
bool Scatter::Rest() {
  core::MutexLock lock(mutex_);
  running_ = !inbox_.empty();
  return !running_;
}

/// Answers before questions: a picture that is complete should not wait for its mates' experts.
void Scatter::Run() {
  do {
    TakeUp();
    while (!ready_.empty() || !planned_.empty()) {
      if (ready_.empty()) {
        Ask();
      } else {
        Plan();
      }
      TakeUp();
    }
    KeepWatch();
  } while (!Rest());
}

void Scatter::TakeUp() {
  Inbox inbox;
  {
    core::MutexLock lock(mutex_);
    std::swap(inbox, inbox_);
  }
  for (Arrival& arrival : inbox.answers) TakeUpAnswer(std::move(arrival));
  for (const size_t row : inbox.gone) GoOn(row);
  for (const size_t domain : inbox.woken) Release(domain);
  if (inbox.due) TakeUpTime(Clock::now());
}

void Scatter::TakeUpAnswer(Arrival arrival) {
  Call& call = calls_[arrival.call];
  // One that nobody waited for any more was counted when the waiting ended.
  if (!call.over) EndCall(call, std::move(arrival.scored), arrival.when);
}

/// The call has an answer, or will have none; its pictures go on from there.
void Scatter::EndCall(Call& call, experts::Scored scored, Clock::time_point now) {
  call.over = true;
  Report(call, now - call.begin, scored.scores.status(), scored.reason);
  const absl::Status status = scored.scores.status();
  std::shared_ptr<const model::ScoreBatch> scores;  // Shared by the pictures of the call.
  if (status.ok()) scores = std::make_shared<const model::ScoreBatch>(*std::move(scored.scores));
  std::optional<CallRecord> record;  // So is this.
  if (call.attempts) {
    record = RecordOf(call, status.code(), now);
    record->part_version = scored.part_version;
  }
  for (size_t i = 0; i < call.rows.size(); ++i) {
    const size_t row = call.rows[i];
    Picture& picture = pictures_[row];
    if (!picture.request) continue;  // Too late for this one.
    if (record) Keep(row, *record);
    if (status.ok()) {
      picture.gather.Answered(call.domain, scores, i);
    } else {
      picture.gather.Failed(call.domain, status, scored.reason);
      // Its time was all that the picture had: the deadline has passed, though our timer has not
      // said so yet.
      const bool all_its_time = scored.reason == experts::MissingReason::kTimeout &&
                                call.deadline >= picture.request->give_up;
      if (all_its_time) {
        GoOn(row);
        continue;
      }
    }
    if (!picture.gather.waiting()) ready_.push_back(row);
  }
}

/// Nobody waits beyond its deadline, and no expert is waited for beyond its own.
void Scatter::TakeUpTime(Clock::time_point now) {
  timer_.reset();
  EndHolding(now);
  for (size_t row = 0; row < pictures_.size(); ++row) {
    if (pictures_[row].request && now >= pictures_[row].request->give_up) GoOn(row);
  }
  for (Call& call : calls_) {
    if (call.over || now < call.deadline + kGrace) continue;
    EndCall(call,
            {.scores = absl::DeadlineExceededError(absl::StrFormat(
                 "no answer within %.0f ms", core::Milliseconds(call.deadline - call.begin))),
             .reason = experts::MissingReason::kTimeout},
            now);
    call.cancel.request_stop();  // When its attempts have been written down as they were.
  }
}

/// Before resting: nobody waits beyond its deadline, or for a caller that has gone.
void Scatter::KeepWatch() {
  if (waiting_ == 0) return;
  Clock::time_point earliest = Clock::time_point::max();
  for (size_t row = 0; row < pictures_.size(); ++row) {
    Picture& picture = pictures_[row];
    if (!picture.request) continue;
    earliest = std::min(earliest, picture.request->give_up);
    // When the caller has gone already, this puts it into the inbox.
    if (!picture.watch) {
      picture.watch = std::make_unique<std::stop_callback<TellGone>>(
          picture.request->cancelled, TellGone{shared_from_this(), row});
    }
  }
  for (const Call& call : calls_) {
    if (!call.over) earliest = std::min(earliest, call.deadline + kGrace);
  }
  for (const Held& held : held_) {
    for (const HeldRow& one : held.rows) earliest = std::min(earliest, one.until);
  }
  if (timer_ && timer_->first <= earliest) return;  // It rings early, and is set anew then.
  if (timer_) stage_.timers_.Cancel(*timer_);
  timer_ = stage_.timers_.At(earliest, [self = shared_from_this()] {
    self->Post([](Inbox& inbox) { inbox.due = true; });
  });
}

/// The picture's gathering is over: all have answered, its time has passed, or its caller has gone.
void Scatter::GoOn(size_t row) {
  Picture& picture = pictures_[row];
  if (!picture.request) return;
  const Clock::time_point now = Clock::now();
  if (!picture.complete) {
    picture.gather.GiveUp();
    Leave(row, now);
  } else if (picture.request->cold_wait == Clock::duration::zero()) {
    // Else its time says nothing of what experts take.
    const std::span<const double> domains = picture.gather.log_domain();
    stage_.estimates_.Answered(
        static_cast<size_t>(std::ranges::max_element(domains) - domains.begin()),
        now - picture.request->passage.begin(Stage::kExperts), model_->place());
  }
  picture.watch.reset();
  --waiting_;
  const GateRow gates{.log_branch = gates_.LogBranch(row),
                      .unknown_score = gates_.unknown_score[row]};
  stage_.next_({std::move(picture.request), std::move(picture.gather), gates});
  if (waiting_ > 0) return;
  if (timer_) stage_.timers_.Cancel(*std::exchange(timer_, std::nullopt));
  features_.views.clear();  // What is still to answer answers nobody.
}

/// The picture waits for its calls no more. One that nobody waits for is cancelled.
void Scatter::Leave(size_t row, Clock::time_point now) {
  LeaveHeld(row, now);
  const absl::Status why = pictures_[row].request->Cancelled()
                               ? absl::CancelledError("nobody waits any more")
                               : absl::DeadlineExceededError("no answer by then");
  for (Call& call : calls_) {
    if (call.over || !std::ranges::count(call.rows, row)) continue;
    if (call.attempts) Keep(row, RecordOf(call, why.code(), now));
    if (--call.waiting > 0) continue;
    call.over = true;
    Report(call, now - call.begin, why, experts::MissingReason::kTimeout);
    call.cancel.request_stop();
  }
}

}  // namespace orchard::router
