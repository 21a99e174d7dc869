#include "router/scatter.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <compare>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

namespace {

/// An expert that is late says so itself, and whom it asked; one that does not is waited for so
/// much longer.
constexpr std::chrono::milliseconds kGrace{20};

}  // namespace

/// The waves of one micro-batch. Its owners are the calls, the timer and the callers' watches that
/// are still to come, and the pool.
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
    Clock::time_point when;
    experts::Scored scored;
  };
  struct Inbox {
    std::vector<Arrival> answers;
    std::vector<size_t> gone;  // rows whose callers have gone
    bool due = false;          // the timer

    bool empty() const { return answers.empty() && gone.empty() && !due; }
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
    Watch watch = nullptr;  // Holds the scatter, until the picture goes on.
    bool complete = false;  // There is nobody more to ask.
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
    Clock::time_point begin;
    Clock::time_point deadline;
    std::shared_ptr<experts::AttemptLog> attempts = nullptr;  // Null: no waves are kept.
    std::stop_source cancel = {};
    bool over = false;  // Answered, or not waited for any more.
  };

  template <typename Put>
  void Post(Put put) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Rest() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUp() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUpAnswer(Arrival arrival);
  void TakeUpTime(Clock::time_point now);
  void EndCall(Call& call, experts::Scored scored, Clock::time_point now);
  void Plan();
  void PlanFor(size_t row, Clock::time_point now);
  std::vector<size_t> TakePlanned(size_t domain);
  void Ask();
  void KeepWatch();
  void GoOn(size_t row);
  void Leave(size_t row, Clock::time_point now);
  CallRecord RecordOf(const Call& call, absl::StatusCode code, Clock::time_point now) const;
  void Keep(size_t row, const CallRecord& record);
  void Report(const Call& call, Clock::duration took, const absl::Status& status,
              experts::MissingReason reason);

  ScatterStage& stage_;
  const ScatterStage::Presence presence_;  // Before what follows: the stage outlives all of it.
  core::Mutex mutex_;
  Inbox inbox_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = true;  // The maker is the first runner.

  // The runner's.
  std::shared_ptr<const core::FeatureBatch> features_;  // Shared with the calls.
  const model::GateBatch gates_;
  std::vector<Picture> pictures_;  // by row
  size_t waiting_;                 // pictures that have not gone on
  std::vector<size_t> ready_;      // rows to plan for
  std::vector<Planned> planned_;   // in descending order: the next to ask stands last
  PlanRoom room_;
  std::vector<std::optional<experts::MissingReason>> unavailable_;  // by domain, as of this plan
  std::vector<Call> calls_;
  std::optional<core::TimerQueue::Timer> timer_;
};

Scatter::Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests)
    : stage_(stage),
      presence_(stage),
      features_(std::make_shared<const core::FeatureBatch>(std::move(encoded.features))),
      gates_(std::move(encoded.gates)),
      waiting_(requests.size()),
      unavailable_(stage.fleet_.domains()) {
  pictures_.reserve(requests.size());
  ready_.reserve(requests.size());
  planned_.reserve(requests.size());
  room_.wave.reserve(stage.fleet_.domains());
  room_.wanted.reserve(stage.fleet_.domains());
  for (size_t row = 0; row < requests.size(); ++row) {
    const moe::Policy& policy = requests[row]->options.policy;
    pictures_.push_back(
        {std::move(requests[row]), Gather(policy, gates_.LogDomain(row), stage_.catalogue_)});
    ready_.push_back(row);
  }
}

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

void Scatter::Plan() {
  stage_.Unavailable(unavailable_);
  const Clock::time_point now = Clock::now();
  // By index: a picture for which nobody has a place is planned for again.
  for (size_t i = 0; i < ready_.size(); ++i) PlanFor(ready_[i], now);
  ready_.clear();
  std::ranges::sort(planned_, std::greater());
}

void Scatter::PlanFor(size_t row, Clock::time_point now) {
  Picture& picture = pictures_[row];
  if (!picture.request) return;
  if (now >= picture.request->give_up || picture.request->Cancelled()) return GoOn(row);
  const std::span<const size_t> wave = picture.gather.Next(unavailable_, room_);
  if (stage_.options_.demand != nullptr) {
    for (const size_t domain : room_.wanted) stage_.options_.demand->Wanted(domain, now);
  }
  if (wave.empty()) {
    picture.complete = true;
    return GoOn(row);
  }
  if (stage_.options_.keep_waves) {
    picture.request->waves.push_back({.reason = picture.gather.wave_reason(), .calls = {}});
  }
  for (const size_t domain : wave) {
    if (stage_.TakePlace(domain)) {
      planned_.push_back({.domain = domain, .row = row});
    } else {
      picture.gather.Failed(domain, absl::ResourceExhaustedError("too many rows wait for it"),
                            experts::MissingReason::kOverloaded);
    }
  }
  if (!picture.gather.waiting()) ready_.push_back(row);
}

/// The rows to ask about, ascending, but those that have gone on since they were planned.
std::vector<size_t> Scatter::TakePlanned(size_t domain) {
  std::vector<size_t> rows;
  size_t gone = 0;
  for (; !planned_.empty() && planned_.back().domain == domain; planned_.pop_back()) {
    const size_t row = planned_.back().row;
    const RequestPtr& request = pictures_[row].request;
    if (request && !request->Cancelled()) {
      rows.push_back(row);
    } else {
      ++gone;  // Its watch will tell us, or has.
    }
  }
  stage_.GiveBackPlaces(domain, gone);
  return rows;
}

/// Makes one of the planned calls. It may serve several pictures: it may take as long as the most
/// patient one waits.
void Scatter::Ask() {
  const size_t domain = planned_.back().domain;
  std::vector<size_t> rows = TakePlanned(domain);
  if (rows.empty()) return;
  const Clock::time_point now = Clock::now();
  Clock::time_point latest = {};
  std::vector<experts::Caller> callers;
  callers.reserve(rows.size());
  for (const size_t row : rows) {
    Request& request = *pictures_[row].request;
    latest = std::max(latest, request.give_up);
    callers.push_back(
        {.request_id = request.id, .traceparent = core::ToTraceparent(request.trace)});
    if (!stage_.options_.keep_waves) continue;
    request.waves.back().calls.push_back({.domain = domain});  // Its place; Keep() fills it.
  }
  const size_t index = calls_.size();
  const Call& call = calls_.emplace_back(Call{
      .domain = domain,
      .rows = rows,
      .waiting = rows.size(),
      .begin = now,
      .deadline = std::min(latest, now + stage_.options_.expert_timeout),
      .attempts = stage_.options_.keep_waves ? std::make_shared<experts::AttemptLog>() : nullptr});
  experts::CallContext context{.deadline = call.deadline,
                               .callers = std::move(callers),
                               .cancelled = call.cancel.get_token(),
                               .attempts = call.attempts};
  const size_t places = rows.size();
  stage_.fleet_.expert(domain).Score(
      {.features = features_, .rows = std::move(rows)}, std::move(context),
      [self = shared_from_this(), index, domain, places](experts::Scored scored) {
        self->stage_.GiveBackPlaces(domain, places);
        self->Post([&](Inbox& inbox) {
          inbox.answers.push_back(
              {.call = index, .when = Clock::now(), .scored = std::move(scored)});
        });
      });
}

/// What is told of a call, `now` that the waiting for it ends. Attempts that are still out end too.
CallRecord Scatter::RecordOf(const Call& call, absl::StatusCode code, Clock::time_point now) const {
  const absl::StatusCode given_up = code == absl::StatusCode::kDeadlineExceeded
                                        ? absl::StatusCode::kDeadlineExceeded
                                        : absl::StatusCode::kCancelled;
  return {.domain = call.domain,
          .rows = call.rows.size(),
          .begin = call.begin,
          .end = now,
          .code = code,
          .part_version = {},
          .attempts = std::make_shared<const std::vector<experts::AttemptRecord>>(
              call.attempts->Snapshot(now, given_up))};
}

void Scatter::Keep(size_t row, const CallRecord& record) {
  std::vector<CallRecord>& calls = pictures_[row].request->waves.back().calls;
  *std::ranges::find(calls, record.domain, &CallRecord::domain) = record;
}

void Scatter::Report(const Call& call, Clock::duration took, const absl::Status& status,
                     experts::MissingReason reason) {
  stage_.metrics_.ExpertCall(call.domain, status.code(), took);
  if (status.ok() || absl::IsCancelled(status)) return;
  const Request* request = nullptr;  // One that waited for it.
  for (const size_t row : call.rows) {
    if (request == nullptr) request = pictures_[row].request.get();
  }
  if (request == nullptr) return;
  const absl::string_view why = status.message();
  const std::string& domain = stage_.catalogue_.domains[call.domain];
  server::LogLimited(server::LogLevel::kWarning, "expert_failed",
                     domain + " " + std::string(experts::Name(reason)),
                     {{"domain", domain},
                      {"missing", experts::Name(reason)},
                      {"request_id", request->id},
                      {"trace_id", core::TraceId(request->trace)},
                      {"code", status.code()},
                      {"rows", call.rows.size()},
                      {"ms", core::Milliseconds(took)},
                      {"reason", std::string_view(why.data(), why.size())}});
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
  if (picture.complete) {
    const std::span<const double> domains = picture.gather.log_domain();
    stage_.estimates_.Answered(
        static_cast<size_t>(std::ranges::max_element(domains) - domains.begin()),
        now - picture.request->passage.begin(Stage::kExperts));
  } else {
    picture.gather.GiveUp();
    Leave(row, now);
  }
  picture.watch.reset();
  --waiting_;
  const GateRow gates{.log_branch = gates_.LogBranch(row),
                      .unknown_score = gates_.unknown_score[row]};
  stage_.next_({std::move(picture.request), std::move(picture.gather), gates});
  if (waiting_ > 0) return;
  if (timer_) stage_.timers_.Cancel(*std::exchange(timer_, std::nullopt));
  features_.reset();  // What is still to answer answers nobody.
}

/// The picture waits for its calls no more. One that nobody waits for is cancelled.
void Scatter::Leave(size_t row, Clock::time_point now) {
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

ScatterStage::ScatterStage(Options options, const Catalogue& catalogue, ExpertFleet& fleet,
                           core::TimerQueue& timers, Estimates& estimates, Metrics& metrics,
                           Next next)
    : options_(options),
      catalogue_(catalogue),
      fleet_(fleet),
      timers_(timers),
      estimates_(estimates),
      metrics_(metrics),
      next_(std::move(next)),
      outstanding_(fleet.domains()),
      pool_({.name = "combine",
             .max_batch = 1,
             .max_waiting = std::numeric_limits<size_t>::max(),
             .workers = options.workers,
             .start_worker = nullptr},
            [this](std::vector<std::shared_ptr<Scatter>> one) {
              const Metrics::Busy busy(metrics_, Metrics::kCombine);
              one.front()->Run();
            }) {}

bool ScatterStage::TakePlace(size_t domain) {
  if (options_.expert_in_flight == 0) return true;
  if (outstanding_[domain].fetch_add(1) < options_.expert_in_flight) return true;
  outstanding_[domain].fetch_sub(1);
  return false;
}

void ScatterStage::GiveBackPlaces(size_t domain, size_t rows) {
  if (options_.expert_in_flight > 0) outstanding_[domain].fetch_sub(rows);
}

void ScatterStage::Unavailable(std::span<std::optional<experts::MissingReason>> out) const {
  fleet_.Unavailable(out);
  if (options_.expert_in_flight == 0) return;
  for (size_t domain = 0; domain < out.size(); ++domain) {
    const size_t rows = outstanding_[domain].load(std::memory_order_relaxed);
    if (!out[domain] && rows >= options_.expert_in_flight) {
      out[domain] = experts::MissingReason::kOverloaded;
    }
  }
}

ScatterStage::~ScatterStage() {
  core::MutexLock lock(mutex_);
  while (present_ > 0) lock.Wait(changed_);
}

void ScatterStage::Run(Encoded encoded, std::vector<RequestPtr> requests) {
  std::make_shared<Scatter>(*this, std::move(encoded), std::move(requests))->Run();
}

ScatterStage::Presence::Presence(ScatterStage& stage) : stage_(stage) {
  core::MutexLock lock(stage_.mutex_);
  ++stage_.present_;
}

ScatterStage::Presence::~Presence() {
  core::MutexLock lock(stage_.mutex_);
  --stage_.present_;
  if (stage_.present_ == 0) stage_.changed_.notify_all();  // Under the lock: the stage may go next.
}

}  // namespace orchard::router
