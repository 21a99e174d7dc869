#include "router/scatter.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "core/clock.h"
#include "experts/scorer.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

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
    absl::StatusOr<model::ScoreBatch> answer;
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
  };
  /// One Expert::Score.
  struct Call {
    size_t domain;
    std::vector<size_t> rows;
    std::string request_id;
    Clock::time_point begin;
  };

  template <typename Put>
  void Post(Put put) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Rest() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUp() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeUpAnswer(Arrival arrival);
  void TakeUpTime(Clock::time_point now);
  void Plan();
  void PlanFor(size_t row, const std::vector<bool>& available, Clock::time_point now);
  void Ask();
  void KeepWatch();
  void GoOn(size_t row);
  void Report(const Call& call, Clock::duration took, const absl::Status& status);

  ScatterStage& stage_;
  const ScatterStage::Presence presence_;  // Before what follows: the stage outlives all of it.
  core::Mutex mutex_;
  Inbox inbox_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = true;  // The maker is the first runner.

  // The runner's.
  std::shared_ptr<const core::FeatureBatch> features_;  // Shared with the calls.
  const model::GateBatch gates_;
  std::vector<Picture> pictures_;                  // by row
  size_t waiting_;                                 // pictures that have not gone on
  std::vector<size_t> ready_;                      // rows to plan for
  std::map<size_t, std::vector<size_t>> planned_;  // domain → rows to ask
  std::vector<Call> calls_;
  std::optional<core::TimerQueue::Timer> timer_;
};

Scatter::Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests)
    : stage_(stage),
      presence_(stage),
      features_(std::make_shared<const core::FeatureBatch>(std::move(encoded.features))),
      gates_(std::move(encoded.gates)),
      waiting_(requests.size()) {
  pictures_.reserve(requests.size());
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
  const Call& call = calls_[arrival.call];
  const size_t classes = stage_.catalogue_.taxonomy.classes[call.domain];
  const absl::Status status = arrival.answer.ok()
                                  ? experts::CheckScores(*arrival.answer, call.rows.size(), classes)
                                  : arrival.answer.status();
  Report(call, arrival.when - call.begin, status);
  std::shared_ptr<const model::ScoreBatch> scores;  // Shared by the pictures of the call.
  if (status.ok()) scores = std::make_shared<const model::ScoreBatch>(*std::move(arrival.answer));
  for (size_t i = 0; i < call.rows.size(); ++i) {
    Picture& picture = pictures_[call.rows[i]];
    if (!picture.request) continue;  // Too late for this one.
    if (status.ok()) {
      picture.gather.Answered(call.domain, scores, i);
    } else {
      picture.gather.Failed(call.domain, status);
    }
    if (!picture.gather.waiting()) ready_.push_back(call.rows[i]);
  }
}

/// Nobody waits beyond its deadline.
void Scatter::TakeUpTime(Clock::time_point now) {
  timer_.reset();
  for (size_t row = 0; row < pictures_.size(); ++row) {
    if (pictures_[row].request && now >= pictures_[row].request->give_up) GoOn(row);
  }
}

void Scatter::Plan() {
  std::vector<std::optional<experts::MissingReason>> unavailable(stage_.fleet_.domains());
  stage_.fleet_.Unavailable(unavailable);
  std::vector<bool> available;
  for (const auto& reason : unavailable) available.push_back(!reason);
  const Clock::time_point now = Clock::now();
  for (const size_t row : std::exchange(ready_, {})) PlanFor(row, available, now);
}

void Scatter::PlanFor(size_t row, const std::vector<bool>& available, Clock::time_point now) {
  Picture& picture = pictures_[row];
  if (!picture.request) return;
  if (now >= picture.request->give_up || picture.request->Cancelled()) {
    picture.gather.GiveUp();
    return GoOn(row);
  }
  const std::vector<size_t> wave = picture.gather.Next(available);
  if (wave.empty()) return GoOn(row);
  for (const size_t domain : wave) planned_[domain].push_back(row);
}

/// Makes one of the planned calls. It may serve several pictures: it may take as long as the most
/// patient one waits.
void Scatter::Ask() {
  auto node = planned_.extract(planned_.begin());
  std::vector<size_t>& rows = node.mapped();
  std::erase_if(rows, [this](size_t row) { return !pictures_[row].request; });
  if (rows.empty()) return;  // All have gone since it was planned.
  std::ranges::sort(rows);
  experts::CallContext context;
  for (const size_t row : rows) {
    context.callers.push_back({.request_id = pictures_[row].request->id, .traceparent = {}});
    context.deadline = std::max(context.deadline, pictures_[row].request->give_up);
  }
  const size_t index = calls_.size();
  calls_.push_back({.domain = node.key(),
                    .rows = rows,
                    .request_id = context.callers.front().request_id,
                    .begin = Clock::now()});
  stage_.fleet_.expert(node.key())
      .Score({.features = features_, .rows = std::move(rows)}, std::move(context),
             [self = shared_from_this(), index](experts::Scored scored) {
               self->Post([&](Inbox& inbox) {
                 inbox.answers.push_back(
                     {.call = index, .when = Clock::now(), .answer = std::move(scored.scores)});
               });
             });
}

void Scatter::Report(const Call& call, Clock::duration took, const absl::Status& status) {
  stage_.metrics_.ExpertCall(call.domain, status.code(), took);
  if (status.ok()) return;
  server::Log(server::LogLevel::kWarning, "expert_failed",
              {{"domain", stage_.catalogue_.domains[call.domain]},
               {"request_id", call.request_id},
               {"code", status.code()},
               {"rows", call.rows.size()},
               {"ms", core::Milliseconds(took)},
               {"reason", std::string(status.message())}});
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
  if (timer_ && timer_->first <= earliest) return;  // It rings early, and is set anew then.
  if (timer_) stage_.timers_.Cancel(*timer_);
  timer_ = stage_.timers_.At(earliest, [self = shared_from_this()] {
    self->Post([](Inbox& inbox) { inbox.due = true; });
  });
}

/// The picture's gathering is over.
void Scatter::GoOn(size_t row) {
  Picture& picture = pictures_[row];
  if (!picture.request) return;
  if (picture.gather.waiting()) picture.gather.GiveUp();
  picture.watch.reset();
  --waiting_;
  if (!picture.gather.gave_up()) {
    stage_.times_.experts.Add(Clock::now() - picture.request->passage.begin(Stage::kExperts));
  }
  const GateRow gates{.log_branch = gates_.LogBranch(row),
                      .unknown_score = gates_.unknown_score[row]};
  stage_.next_({std::move(picture.request), std::move(picture.gather), gates});
  if (waiting_ > 0) return;
  if (timer_) stage_.timers_.Cancel(*std::exchange(timer_, std::nullopt));
  features_.reset();  // What is still to answer answers nobody.
}

ScatterStage::ScatterStage(Options options, const Catalogue& catalogue, ExpertFleet& fleet,
                           core::TimerQueue& timers, ServiceTimes& times, Metrics& metrics,
                           Next next)
    : catalogue_(catalogue),
      fleet_(fleet),
      timers_(timers),
      times_(times),
      metrics_(metrics),
      next_(std::move(next)),
      pool_({.name = "combine",
             .max_batch = 1,
             .max_waiting = std::numeric_limits<size_t>::max(),
             .workers = options.workers,
             .start_worker = nullptr},
            [](std::vector<std::shared_ptr<Scatter>> one) { one.front()->Run(); }) {}

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
