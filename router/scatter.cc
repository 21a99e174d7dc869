#include "router/scatter.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/clock.h"
#include "experts/scorer.h"
#include "router/answer.h"
#include "router/gather.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

namespace {

void FillTimings(const Passage& passage, Clock::time_point end, v1::StageTimings& timings) {
  timings.set_decode_ms(core::Milliseconds(passage.decode_end - passage.decode_begin));
  timings.set_queue_ms(core::Milliseconds(passage.Queued()));
  timings.set_encode_ms(core::Milliseconds(passage.encode_end - passage.encode_begin));
  timings.set_experts_ms(core::Milliseconds(passage.experts_end - passage.encode_end));
  timings.set_combine_ms(core::Milliseconds(end - passage.experts_end));
  timings.set_total_ms(core::Milliseconds(end - passage.admitted));
}

/// The request that a log line about a call names.
std::string_view FirstId(const experts::CallContext& context) {
  for (const experts::Caller& caller : context.callers) {
    if (!caller.request_id.empty()) return caller.request_id;
  }
  return "";
}

}  // namespace

/// The waves of one micro-batch. Its owners are the calls and timers that are still to come.
///
/// Whoever brings an answer plans what follows from it (Advance); one thread at a time does so, and
/// what others bring meanwhile is left to it. Thread-safe.
class Scatter : public std::enable_shared_from_this<Scatter> {
 public:
  Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests);

  /// Once.
  void Start() {
    Advance();
    KeepWatch();  // Only over who still waits: in-process experts have answered by now.
  }

 private:
  /// What a caller's going runs.
  struct GiveUpOn {
    std::shared_ptr<Scatter> scatter;
    size_t row;

    void operator()() const {
      const std::shared_ptr<Scatter> keep = scatter;  // Settling ends this object's life.
      keep->GiveUp(row);
    }
  };
  /// Destroyed without the lock: it waits for a callback that runs on another thread.
  using Watch = std::unique_ptr<std::stop_callback<GiveUpOn>>;

  struct Picture {
    RequestPtr request;  // null: answered
    Gather gather;
    core::TimerQueue::Timer timer = {};
    Watch watch = nullptr;  // Holds the scatter, until it is taken out with the picture.
  };
  /// A picture whose gathering is over, taken out of the scatter.
  struct Settled {
    size_t row;
    RequestPtr request;
    Gather gather;
    Watch watch;
  };
  /// One Expert::Score to come.
  struct Call {
    size_t domain;
    std::vector<size_t> rows;
    experts::CallContext context;
  };
  using Step = std::variant<std::monostate, Settled, Call>;

  void Advance() ABSL_LOCKS_EXCLUDED(mutex_);
  Step TakeStep() ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<size_t> PlanNext(const std::vector<bool>& available)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Call TakeCall() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Settled Take(size_t row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(Call call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Arrive(const Call& call, Clock::duration took, absl::StatusOr<model::ScoreBatch> answer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Report(const Call& call, Clock::duration took, const absl::Status& status);
  void KeepWatch() ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveUp(size_t row) ABSL_LOCKS_EXCLUDED(mutex_);
  void Settle(Settled settled);

  ScatterStage& stage_;
  const ScatterStage::Presence presence_;  // Before what follows: the stage outlives all of it.
  const std::shared_ptr<const core::FeatureBatch> features_;  // Shared with the calls.
  const model::GateBatch gates_;
  core::Mutex mutex_;
  std::vector<Picture> pictures_ ABSL_GUARDED_BY(mutex_);                  // by row
  std::vector<size_t> ready_ ABSL_GUARDED_BY(mutex_);                      // rows to plan for
  std::map<size_t, std::vector<size_t>> planned_ ABSL_GUARDED_BY(mutex_);  // domain → rows to ask
  bool advancing_ ABSL_GUARDED_BY(mutex_) = false;
};

Scatter::Scatter(ScatterStage& stage, Encoded encoded, std::vector<RequestPtr> requests)
    : stage_(stage),
      presence_(stage),
      features_(std::make_shared<const core::FeatureBatch>(std::move(encoded.features))),
      gates_(std::move(encoded.gates)) {
  for (size_t row = 0; row < requests.size(); ++row) {
    const moe::Policy& policy = requests[row]->options.policy;
    pictures_.push_back(
        {std::move(requests[row]), Gather(policy, gates_.LogDomain(row), stage_.catalogue_)});
    ready_.push_back(row);
  }
}

void Scatter::Advance() {
  {
    core::MutexLock lock(mutex_);
    if (advancing_) return;  // That thread sees what we brought.
    advancing_ = true;
  }
  while (true) {
    Step step = TakeStep();
    if (auto* settled = std::get_if<Settled>(&step)) {
      Settle(std::move(*settled));
    } else if (auto* call = std::get_if<Call>(&step)) {
      Ask(std::move(*call));
    } else {
      return;
    }
  }
}

/// Answers before questions: a picture that is complete should not wait for its mates' experts.
Scatter::Step Scatter::TakeStep() {
  std::optional<std::vector<bool>>
      available;  // Asked without the lock, and only when there is something to plan.
  while (true) {
    {
      core::MutexLock lock(mutex_);
      if (ready_.empty()) {
        if (!planned_.empty()) return TakeCall();
        advancing_ = false;
        return {};
      }
      if (available) {
        if (const std::optional<size_t> row = PlanNext(*available)) return Take(*row);
        continue;
      }
    }
    std::vector<std::optional<experts::MissingReason>> unavailable(stage_.fleet_.domains());
    stage_.fleet_.Unavailable(unavailable);
    available.emplace();
    for (const auto& reason : unavailable) available->push_back(!reason);
  }
}

/// Plans for one picture that is ready; returns its row when its gathering is over.
std::optional<size_t> Scatter::PlanNext(const std::vector<bool>& available) {
  const size_t row = ready_.back();
  ready_.pop_back();
  Picture& picture = pictures_[row];
  if (!picture.request) return std::nullopt;  // The timer, or the caller's going, was first.
  if (Clock::now() >= picture.request->give_up || picture.request->Cancelled()) {
    picture.gather.GiveUp();
    return row;
  }
  const std::vector<size_t> wave = picture.gather.Next(available);
  if (wave.empty()) return row;
  for (const size_t domain : wave) planned_[domain].push_back(row);
  return std::nullopt;
}

/// A call may serve several pictures: it may take as long as the most patient one waits. Rows that
/// the timer has settled meanwhile go along; their answer is dropped.
Scatter::Call Scatter::TakeCall() {
  auto node = planned_.extract(planned_.begin());
  Call call{.domain = node.key(), .rows = std::move(node.mapped()), .context = {}};
  std::ranges::sort(call.rows);
  for (const size_t row : call.rows) {
    const RequestPtr& request = pictures_[row].request;
    if (!request) {
      call.context.callers.emplace_back();
      continue;
    }
    call.context.callers.push_back({.request_id = request->id, .traceparent = {}});
    call.context.deadline = std::max(call.context.deadline, request->give_up);
  }
  return call;
}

Scatter::Settled Scatter::Take(size_t row) {
  Picture& picture = pictures_[row];
  if (picture.timer != core::TimerQueue::Timer{}) stage_.timers_.Cancel(picture.timer);
  return {row, std::move(picture.request), std::move(picture.gather), std::move(picture.watch)};
}

void Scatter::Ask(Call call) {
  const Clock::time_point begin = Clock::now();
  experts::Expert& expert = stage_.fleet_.expert(call.domain);
  experts::SubBatch batch{.features = features_, .rows = call.rows};
  experts::CallContext context = call.context;
  expert.Score(std::move(batch), std::move(context),
               [self = shared_from_this(), call = std::move(call), begin](experts::Scored scored) {
                 self->Arrive(call, Clock::now() - begin, std::move(scored.scores));
                 self->Advance();
               });
}

void Scatter::Arrive(const Call& call, Clock::duration took,
                     absl::StatusOr<model::ScoreBatch> answer) {
  const size_t classes = stage_.catalogue_.taxonomy.classes[call.domain];
  const absl::Status status =
      answer.ok() ? experts::CheckScores(*answer, call.rows.size(), classes) : answer.status();
  Report(call, took, status);
  std::shared_ptr<const model::ScoreBatch> scores;
  if (status.ok()) scores = std::make_shared<const model::ScoreBatch>(*std::move(answer));
  core::MutexLock lock(mutex_);
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

void Scatter::Report(const Call& call, Clock::duration took, const absl::Status& status) {
  stage_.metrics_.ExpertCall(call.domain, status.code(), took);
  if (status.ok()) return;
  server::Log(server::LogLevel::kWarning, "expert_failed",
              {{"domain", stage_.catalogue_.domains[call.domain]},
               {"request_id", FirstId(call.context)},
               {"code", status.code()},
               {"rows", call.rows.size()},
               {"ms", core::Milliseconds(took)},
               {"reason", std::string(status.message())}});
}

/// Nobody waits beyond its deadline, or for a caller that has gone.
void Scatter::KeepWatch() {
  for (size_t row = 0; row < features_->rows; ++row) {
    std::stop_token cancelled;
    {
      core::MutexLock lock(mutex_);
      Picture& picture = pictures_[row];
      if (!picture.request) continue;
      picture.timer = stage_.timers_.At(picture.request->give_up,
                                        [self = shared_from_this(), row] { self->GiveUp(row); });
      cancelled = picture.request->cancelled;
    }
    // Without the lock: when the caller has gone already, this gives up at once.
    auto watch = std::make_unique<std::stop_callback<GiveUpOn>>(std::move(cancelled),
                                                                GiveUpOn{shared_from_this(), row});
    core::MutexLock lock(mutex_);
    if (pictures_[row].request) pictures_[row].watch = std::move(watch);
  }
}

void Scatter::GiveUp(size_t row) {
  std::optional<Settled> settled;
  {
    core::MutexLock lock(mutex_);
    if (!pictures_[row].request) return;
    pictures_[row].gather.GiveUp();
    settled.emplace(Take(row));
  }
  Settle(*std::move(settled));
}

void Scatter::Settle(Settled settled) {
  Request& request = *settled.request;
  request.passage.experts_end = Clock::now();
  const GateRow gates{.log_branch = gates_.LogBranch(settled.row),
                      .unknown_score = gates_.unknown_score[settled.row]};
  absl::StatusOr<v1::ClassifyResponse> answer =
      request.Cancelled() ? absl::CancelledError("the caller has gone")
                          : Answer(stage_.catalogue_, gates, settled.gather, request.options.top);
  const Passage& passage = request.passage;
  const Clock::time_point end = Clock::now();
  const Clock::duration experts = passage.experts_end - passage.encode_end;
  if (!settled.gather.gave_up()) stage_.times_.experts.Add(experts);
  Metrics& metrics = stage_.metrics_;
  metrics.Stage(Metrics::kQueue, passage.Queued());
  metrics.Stage(Metrics::kExperts, experts);
  metrics.Stage(Metrics::kCombine, end - passage.experts_end);
  metrics.Routed(settled.gather.Activated(), settled.gather.log_domain(), end);
  if (answer.ok()) {
    metrics.Answered(answer->outcome(), answer->degraded());
    FillTimings(passage, end, *answer->mutable_timings());
  }
  request.Finish(std::move(answer));
}

ScatterStage::~ScatterStage() {
  core::MutexLock lock(mutex_);
  while (present_ > 0) lock.Wait(changed_);
}

void ScatterStage::Run(Encoded encoded, std::vector<RequestPtr> requests) {
  std::make_shared<Scatter>(*this, std::move(encoded), std::move(requests))->Start();
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
