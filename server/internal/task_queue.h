#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"

namespace orchard::server::internal {

/// A few threads over a bounded queue of accepted connections. When the queue is full, Enqueue
/// waits: the accept loop stops, and what comes queues in the kernel. Thread-safe.
class TaskQueue {
 public:
  using Task = std::function<void()>;

  TaskQueue(size_t threads, size_t max_waiting) : max_waiting_(max_waiting) {
    for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  }

  ~TaskQueue() { Stop(); }

  void Enqueue(Task task) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    while (waiting_.size() >= max_waiting_ && !stopping_) lock.Wait(changed_);
    waiting_.push_back(std::move(task));  // Also when stopping: a task closes its connection.
    changed_.notify_all();
  }

  /// Enqueue waits for nothing any more; the threads end when nothing waits.
  void BeginStop() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

  /// BeginStop, runs what waits, joins. Idempotent.
  void Stop() {
    BeginStop();
    threads_.clear();
  }

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_) {
    while (true) {
      Task task;
      {
        core::MutexLock lock(mutex_);
        while (waiting_.empty() && !stopping_) lock.Wait(changed_);
        if (waiting_.empty()) return;
        task = std::move(waiting_.front());
        waiting_.pop_front();
        changed_.notify_all();
      }
      task();
    }
  }

  const size_t max_waiting_;
  core::Mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // Last, so that they are joined before what they use dies.
};

}  // namespace orchard::server::internal
