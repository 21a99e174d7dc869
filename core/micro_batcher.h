#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "core/mutex.h"

namespace orchard::core {

/// Turns single items into batches. Work-conserving: an idle worker takes everything that waits, up
/// to `max_batch`, and never holds an item back to let a batch grow. With `max_batch` 1 it is a
/// plain pool of threads over a bounded queue.
///
/// Where not all items may be together, a batch is what waits longest and those that may be with
/// it; the others keep their places.
///
/// Thread-safe. `process` runs on a worker, without any lock, and owns the items it is given; it
/// must not throw. A batch holds the items in the order of their Submit.
template <typename Item>
class MicroBatcher {
 public:
  struct Options {
    const char* name = "batcher";                  ///< in messages; a literal
    size_t max_batch = 32;                         ///< items, at least 1
    size_t max_waiting = 256;                      ///< items; one more is refused
    size_t workers = 1;                            ///< threads, at least 1
    std::function<void()> start_worker = nullptr;  ///< runs first on each worker; may be empty
    /// Whether two items may be in one batch; null: any two. An equivalence, and quick: it runs
    /// under the lock.
    std::function<bool(const Item&, const Item&)> together = nullptr;
  };
  using Process = std::function<void(std::vector<Item>)>;

  MicroBatcher(Options options, Process process)
      : options_(std::move(options)), process_(std::move(process)) {
    for (size_t i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { Work(); });
  }

  /// Refuses what comes, processes what waits, joins the workers.
  ~MicroBatcher() {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

  MicroBatcher(const MicroBatcher&) = delete;
  MicroBatcher& operator=(const MicroBatcher&) = delete;

  /// Hands over `item`. On an error it was not touched and is still the caller's.
  /// Errors: RESOURCE_EXHAUSTED when `max_waiting` items wait, UNAVAILABLE while stopping.
  absl::Status Submit(Item&& item) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      MutexLock lock(mutex_);
      if (stopping_) {
        return absl::UnavailableError(absl::StrFormat("%s is stopping", options_.name));
      }
      if (waiting_.size() >= options_.max_waiting) {
        return absl::ResourceExhaustedError(absl::StrFormat(
            "%s queue is full: %d waiting, the limit", options_.name, options_.max_waiting));
      }
      waiting_.push_back(std::move(item));
    }
    changed_.notify_one();
    return absl::OkStatus();
  }

  /// How many items wait, for the saturation gauges.
  size_t Waiting() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return waiting_.size();
  }

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (options_.start_worker) options_.start_worker();
    while (true) {
      std::vector<Item> batch = Take();
      if (batch.empty()) return;
      process_(std::move(batch));
    }
  }

  /// Waits for items; empty when stopping and nothing waits.
  std::vector<Item> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (waiting_.empty() && !stopping_) lock.Wait(changed_);
    std::vector<Item> batch;
    batch.reserve(std::min(waiting_.size(), options_.max_batch));
    while (batch.size() < options_.max_batch && !waiting_.empty() &&
           Fits(batch, waiting_.front())) {
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (batch.size() < options_.max_batch && !waiting_.empty()) TakeFromBehind(batch);
    return batch;
  }

  bool Fits(const std::vector<Item>& batch, const Item& item) const {
    return batch.empty() || !options_.together || options_.together(batch.front(), item);
  }

  /// Those behind an item that may not be with the batch.
  void TakeFromBehind(std::vector<Item>& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::deque<Item> left;
    for (Item& item : waiting_) {
      const bool take = batch.size() < options_.max_batch && Fits(batch, item);
      if (take) {
        batch.push_back(std::move(item));
      } else {
        left.push_back(std::move(item));
      }
    }
    waiting_.swap(left);
  }

  const Options options_;
  const Process process_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> workers_;  // Last, so that they are joined before what they use dies.
};

}  // namespace orchard::core
