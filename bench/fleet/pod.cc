#include "bench/fleet/pod.h"

#include <algorithm>
#include <utility>

namespace orchard::bench {
namespace {

constexpr std::chrono::milliseconds kSoonest{10};
constexpr std::chrono::milliseconds kLatest{10'000};
constexpr std::chrono::milliseconds kIdleLook{200};

experts::ServiceTime::Options ServiceTimeOf(const PodPlan& plan, Cores* own) {
  experts::ServiceTime::Options options;
  options.workers = plan.workers;
  options.cpus = plan.cores;
  // On a shared host nobody knows whose time it was.
  if (own != nullptr) options.cpu_time = [own] { return FromSeconds(own->used()); };
  return options;
}

}  // namespace

Pod::Pod(Events& events, const PodPlan& plan, const DomainPlan& domain, std::string address,
         size_t zone, Random& random, Cores* host)
    : events_(events),
      plan_(plan),
      domain_(domain),
      address_(std::move(address)),
      zone_(zone),
      random_(random),
      own_(host == nullptr ? std::make_unique<Cores>(events, plan.cores) : nullptr),
      cores_(host == nullptr ? *own_ : *host),
      born_(events.now()),
      service_time_(ServiceTimeOf(plan, own_.get())),
      since_(events.now()) {}

void Pod::BeginMeasuring() {
  rows_done_ = 0;
  used_before_ = cores_.used();
}

void Pod::Ask(std::shared_ptr<Attempt> attempt) {
  events_.In(plan_.hop, [this, attempt = std::move(attempt)] { Arrive(attempt); });
}

void Pod::Arrive(const AttemptPtr& attempt) {
  if (state_ == State::kSilent) return;
  if (state_ == State::kDead) return Answer(attempt, {.code = absl::StatusCode::kUnavailable});
  attempt->arrived = events_.now();
  rows_in_flight_ += attempt->rows;
  received_.push_back(attempt);
  cores_.Work(plan_.call.Draw(random_), [this, attempt] { Enqueue(attempt); });
}

void Pod::Enqueue(const AttemptPtr& attempt) {
  if (gone()) return;
  std::erase(received_, attempt);
  if (!HasRoom(attempt->rows)) DropGone();
  if (!HasRoom(attempt->rows)) return Refuse(attempt);
  waiting_.push_back(attempt);
  waiting_rows_ += attempt->rows;
  Start();
}

/// A call that is larger than the limit is let in when nothing waits.
bool Pod::HasRoom(size_t rows) const {
  if (waiting_.size() >= plan_.max_waiting) return false;
  return waiting_rows_ == 0 || waiting_rows_ + rows <= plan_.max_waiting_rows;
}

void Pod::DropGone() {
  std::erase_if(waiting_, [&](const AttemptPtr& attempt) {
    if (!attempt->cancelled && events_.now() < attempt->deadline) return false;
    waiting_rows_ -= attempt->rows;
    rows_in_flight_ -= attempt->rows;
    return true;
  });
}

/// There is room when half of what waits is done.
void Pod::Refuse(const AttemptPtr& attempt) {
  rows_in_flight_ -= attempt->rows;
  const auto full = static_cast<double>(plan_.max_batch);
  const Clock::duration wait = batch_time_.Of(static_cast<double>(waiting_rows_) / full, full) /
                               static_cast<Clock::rep>(2 * plan_.workers);
  Answer(attempt, {.code = absl::StatusCode::kResourceExhausted,
                   .reported = rows_in_flight_,
                   .pushback = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(wait),
                                          kSoonest, kLatest)});
}

void Pod::Start() {
  while (busy_ < plan_.workers && !waiting_.empty()) {
    auto batch = std::make_shared<Batch>(Take());
    if (batch->attempts.empty()) continue;
    ++busy_;
    batch->began = events_.now();
    running_.push_back(batch);
    const double rows = static_cast<double>(batch->rows);
    const double times = domain_.row_fixed + (1.0 - domain_.row_fixed) * rows;
    cores_.Work(domain_.row.Draw(random_) * times, [this, batch] { Finish(*batch); });
  }
}

/// Whole calls, in the order in which they came; idle workers share what waits.
Pod::Batch Pod::Take() {
  const size_t idle = plan_.workers - busy_;
  const size_t share = std::min(plan_.max_batch, (waiting_rows_ + idle - 1) / idle);
  Batch batch;
  while (!waiting_.empty() && batch.rows < share) {
    AttemptPtr& next = waiting_.front();
    if (batch.rows > 0 && batch.rows + next->rows > plan_.max_batch) break;
    waiting_rows_ -= next->rows;
    if (next->cancelled || events_.now() >= next->deadline) {
      rows_in_flight_ -= next->rows;
    } else {
      batch.rows += next->rows;
      batch.attempts.push_back(std::move(next));
    }
    waiting_.pop_front();
  }
  return batch;
}

void Pod::Finish(Batch& batch) {
  if (gone()) return;
  --busy_;
  std::erase_if(running_, [&](const auto& running) { return running.get() == &batch; });
  rows_done_ += batch.rows;
  rows_in_flight_ -= batch.rows;
  const Clock::duration took = events_.now() - batch.began;
  batch_time_.Add(static_cast<double>(batch.rows), took);
  service_time_.Worked(0, batch.rows, took, events_.now());
  const double seconds = service_time_.Seconds(0).value_or(0.0);
  for (const AttemptPtr& attempt : batch.attempts) {
    Answer(attempt, {.reported = rows_in_flight_, .service_seconds = seconds});
  }
  Start();
}

void Pod::Answer(const AttemptPtr& attempt, Reply reply) {
  events_.In(plan_.hop, [attempt, reply] {
    if (!attempt->cancelled) attempt->caller->Arrived(*attempt, reply);
  });
}

void Pod::Drain() {
  if (state_ != State::kServing) return;
  state_ = State::kDraining;
  since_ = events_.now();
  DieWhenIdle();
}

void Pod::DieWhenIdle() {
  if (state_ != State::kDraining) return;
  if (rows_in_flight_ == 0 && events_.now() - since_ >= std::chrono::seconds(1)) {
    return Fail(State::kDead);
  }
  events_.In(kIdleLook, [this] { DieWhenIdle(); });
}

void Pod::Fail(State how) {
  if (gone()) return;
  state_ = how;
  since_ = events_.now();
  if (own_ != nullptr) own_->Stop();
  std::vector<AttemptPtr> reset(waiting_.begin(), waiting_.end());
  reset.insert(reset.end(), received_.begin(), received_.end());
  for (const auto& batch : running_) {
    reset.insert(reset.end(), batch->attempts.begin(), batch->attempts.end());
  }
  waiting_.clear();
  received_.clear();
  running_.clear();
  waiting_rows_ = rows_in_flight_ = busy_ = 0;
  if (how == State::kSilent) return;
  for (const AttemptPtr& attempt : reset) {
    Answer(attempt, {.code = absl::StatusCode::kUnavailable});
  }
}

}  // namespace orchard::bench
