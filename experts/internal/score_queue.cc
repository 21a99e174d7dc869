#include "experts/internal/score_queue.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <utility>

#include "absl/strings/str_format.h"

#include "core/without_throwing.h"
#include "experts/wire.h"
#include "rpc/status.h"

namespace orchard::experts::internal {

using core::Clock;

namespace {

constexpr std::chrono::milliseconds kSoonest{10};
constexpr std::chrono::milliseconds kLatest{10'000};

size_t BytesOf(const PendingScore& call) { return call.features().data().size(); }

using Floats = std::unique_ptr<float[]>;

/// Not a vector: every float is about to be written. Errors: RESOURCE_EXHAUSTED.
absl::StatusOr<Floats> MakeFloats(size_t count) {
  return core::WithoutThrowing("features", [&]() -> absl::StatusOr<Floats> {
    return std::make_unique_for_overwrite<float[]>(count);
  });
}

void FailGone(const std::vector<PendingScore*>& gone) {
  for (PendingScore* const call : gone) {
    call->Fail(call->StillWanted(), {.queue = Clock::now() - call->arrived()});
  }
}

}  // namespace

absl::Status ScoreQueue::Submit(PendingScore* call) {
  std::vector<PendingScore*> gone;
  absl::Status status;
  {
    core::MutexLock lock(pool_.mutex_);
    status = CheckRoom(*call);
    if (absl::IsResourceExhausted(status)) {
      gone = TakeGone();
      if (!gone.empty()) status = CheckRoom(*call);
    }
    if (status.ok()) {
      if (waiting_.empty()) pool_.ready_.push_back(this);
      waiting_.push_back(call);
      waiting_rows_ += call->rows();
      pool_.waiting_bytes_ += BytesOf(*call);
      pool_.changed_.notify_one();
    }
  }
  FailGone(gone);  // Outside the lock: that is gRPC's code.
  return status;
}

/// A call that is larger than a limit is let in when nothing waits: it can't be made smaller.
absl::Status ScoreQueue::CheckRoom(const PendingScore& call) const {
  if (pool_.stopping_) return absl::UnavailableError("the expert is stopping");
  if (waiting_.size() >= options_.max_waiting) {
    return Full(waiting_.size(), options_.max_waiting, "calls", "calls");
  }
  if (waiting_rows_ > 0 && waiting_rows_ + call.rows() > options_.max_waiting_rows) {
    return Full(waiting_rows_, options_.max_waiting_rows, "rows", "rows");
  }
  const std::uint64_t limit = pool_.options_.max_waiting_bytes;
  if (pool_.waiting_bytes_ > 0 && pool_.waiting_bytes_ + BytesOf(call) > limit) {
    return Full(pool_.waiting_bytes_, limit, "bytes", "bytes of all domains");
  }
  return absl::OkStatus();
}

/// There is room when half of what waits is done.
absl::Status ScoreQueue::Full(size_t has, size_t limit, const char* name, const char* what) const {
  const double batches =
      static_cast<double>(waiting_rows_) / static_cast<double>(options_.max_batch);
  const Clock::duration wait = time_.Of(batches, static_cast<double>(options_.max_batch)) /
                               static_cast<Clock::rep>(2 * pool_.options_.workers);
  const absl::Status full = absl::ResourceExhaustedError(
      absl::StrFormat("the queue of the expert of %s is full: %d waiting %s, the limit is %d; "
                      "ask another replica, or later",
                      spec_.domain, has, what, limit));
  return rpc::WithPushback(
      rpc::WithErrorInfo(full, rpc::kOverloaded, {{"limit", name}}),
      std::clamp(std::chrono::ceil<std::chrono::milliseconds>(wait), kSoonest, kLatest));
}

void ScoreQueue::Forget(const PendingScore& call) {
  waiting_rows_ -= call.rows();
  pool_.waiting_bytes_ -= BytesOf(call);
}

std::vector<PendingScore*> ScoreQueue::TakeGone() {
  std::vector<PendingScore*> gone;
  std::erase_if(waiting_, [&](PendingScore* call) {
    if (call->StillWanted().ok()) return false;
    gone.push_back(call);
    return true;
  });
  for (const PendingScore* const call : gone) Forget(*call);
  if (!gone.empty() && waiting_.empty()) std::erase(pool_.ready_, this);
  return gone;
}

/// Whole calls, in the order in which they came.
std::vector<PendingScore*> ScoreQueue::TakeBatch(size_t workers) {
  const size_t share = std::min(options_.max_batch, (waiting_rows_ + workers - 1) / workers);
  std::vector<PendingScore*> batch;
  size_t rows = 0;
  while (!waiting_.empty() && rows < share) {
    PendingScore* const call = waiting_.front();
    if (rows > 0 && rows + call->rows() > options_.max_batch) break;
    waiting_.pop_front();
    Forget(*call);
    rows += call->rows();
    batch.push_back(call);
  }
  return batch;
}

size_t ScoreQueue::Process(const std::vector<PendingScore*>& calls) {
  const auto begin = Clock::now();
  std::vector<PendingScore*> batch, gone;
  size_t rows = 0;
  for (PendingScore* const call : calls) {
    if (!call->StillWanted().ok()) {
      gone.push_back(call);
      continue;
    }
    metrics_.Waited(begin - call->arrived());
    rows += call->rows();
    batch.push_back(call);
  }
  FailGone(gone);
  const size_t computed = batch.empty() ? 0 : Run(batch, rows);
  metrics_.Worked(Clock::now() - begin);
  return computed;
}

/// Where there is no memory for all of them together it may do for each alone. Their callers may
/// have gone meanwhile.
size_t ScoreQueue::RunEach(const std::vector<PendingScore*>& calls, const absl::Status& why,
                           Clock::time_point started) {
  if (calls.size() == 1) {
    calls.front()->Fail(why, {.queue = started - calls.front()->arrived()});
    return 0;
  }
  size_t computed = 0;
  for (PendingScore* const call : calls) {
    if (call->StillWanted().ok()) {
      computed += Run({call}, call->rows());
    } else {
      FailGone({call});
    }
  }
  return computed;
}

size_t ScoreQueue::Run(const std::vector<PendingScore*>& calls, size_t rows) {
  const auto started = Clock::now();
  const size_t width = spec_.RowWidth();
  const absl::StatusOr<Floats> floats = MakeFloats(rows * width);
  if (!floats.ok()) return RunEach(calls, floats.status(), started);
  float* const features = floats->get();
  std::vector<PendingScore*> sound;
  size_t sound_rows = 0;
  for (PendingScore* const call : calls) {
    const std::span<float> part(features + sound_rows * width, call->rows() * width);
    if (const absl::Status read = ReadFeatures(call->features(), part); !read.ok()) {
      call->Fail(read, {.queue = started - call->arrived()});  // The next one takes its place.
      continue;
    }
    sound_rows += call->rows();
    sound.push_back(call);
  }
  if (sound.empty()) return 0;

  absl::StatusOr<model::ScoreBatch> scores = core::WithoutThrowing(
      spec_.domain, [&] { return scorer_({features, sound_rows * width}, sound_rows); });
  if (absl::IsResourceExhausted(scores.status()) && sound.size() > 1) {
    return RunEach(sound, scores.status(), started);
  }
  if (scores.ok()) {
    if (absl::Status sane = CheckScores(*scores, sound_rows, spec_.classes.size()); !sane.ok()) {
      scores = std::move(sane);
    }
  }
  const Clock::duration compute = Clock::now() - started;
  metrics_.Computed(sound_rows, compute);
  {
    core::MutexLock lock(pool_.mutex_);
    time_.Add(static_cast<double>(sound_rows), compute);
  }
  size_t first = 0;
  for (PendingScore* const call : sound) {
    const PendingScore::Timing timing{.queue = started - call->arrived(), .compute = compute};
    const size_t count = call->rows();  // `call` may be gone once it is answered.
    if (scores.ok()) {
      call->Answer(*scores, first, timing);
    } else {
      call->Fail(scores.status(), timing);
    }
    first += count;
  }
  return sound_rows;
}

}  // namespace orchard::experts::internal
