#include "experts/internal/score_queue.h"

#include <span>
#include <utility>

#include "experts/wire.h"

namespace orchard::experts::internal {

using core::Clock;

ScoreQueue::ScoreQueue(const ExpertSpec& spec, Scorer scorer, DomainMetrics& metrics,
                       ScoreQueueOptions options)
    : spec_(spec),
      scorer_(std::move(scorer)),
      metrics_(metrics),
      max_batch_(options.max_batch),
      batcher_({.name = "expert",
                .max_batch = options.max_batch,  // Calls; a call has at least one row.
                .max_waiting = options.max_waiting,
                .workers = options.workers,
                .start_worker = std::move(options.start_worker)},
               [this](std::vector<PendingScore*> calls) { Process(std::move(calls)); }) {}

/// Splits what a worker took into batches of at most `max_batch` rows; whole calls only.
void ScoreQueue::Process(std::vector<PendingScore*> calls) {
  std::vector<PendingScore*> batch;
  size_t rows = 0;
  const auto run = [&] {
    if (!batch.empty()) Run(batch, rows);
    batch.clear();
    rows = 0;
  };
  for (PendingScore* const call : calls) {
    if (rows + call->rows() > max_batch_) run();
    // Asked as late as possible: batches before this one have taken their time.
    if (const absl::Status wanted = call->StillWanted(); !wanted.ok()) {
      call->Fail(wanted, {.queue = Clock::now() - call->arrived()});
      continue;
    }
    rows += call->rows();
    batch.push_back(call);
  }
  run();
}

void ScoreQueue::Run(const std::vector<PendingScore*>& calls, size_t rows) {
  const auto started = Clock::now();
  const size_t width = spec_.RowWidth();
  // Not a vector: every float is about to be written.
  const auto features = std::make_unique_for_overwrite<float[]>(rows * width);
  std::vector<PendingScore*> sound;
  size_t sound_rows = 0;
  for (PendingScore* const call : calls) {
    metrics_.Waited(started - call->arrived());
    const std::span<float> part(features.get() + sound_rows * width, call->rows() * width);
    if (const absl::Status read = ReadFeatures(call->features(), part); !read.ok()) {
      call->Fail(read, {.queue = started - call->arrived()});  // The next one takes its place.
      continue;
    }
    sound_rows += call->rows();
    sound.push_back(call);
  }
  if (sound.empty()) return;

  absl::StatusOr<model::ScoreBatch> scores =
      scorer_({features.get(), sound_rows * width}, sound_rows);
  if (scores.ok()) {
    if (absl::Status sane = CheckScores(*scores, sound_rows, spec_.classes.size()); !sane.ok()) {
      scores = std::move(sane);
    }
  }
  const Clock::duration compute = Clock::now() - started;
  metrics_.Computed(sound_rows, compute);
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
}

}  // namespace orchard::experts::internal
