#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"
#include "experts/service_time.h"

namespace orchard::experts::internal {

class ScoreQueue;

struct ScorePoolOptions {
  size_t workers = 1;  ///< threads, whatever the number of domains
  std::uint64_t max_waiting_bytes = std::uint64_t{256} << 20;  ///< of features, over all domains
  std::function<void()> start_worker{};  ///< runs first on each worker; may be empty
  ServiceTime::Options service_time{};   ///< its `workers` are the pool's
};

/// The threads that compute, shared by the queues of all domains of a process. Domains with calls
/// that wait take turns; workers that are idle share what one domain has. Thread-safe.
class ScorePool {
 public:
  explicit ScorePool(ScorePoolOptions options);
  ~ScorePool() { Stop(); }

  ScorePool(const ScorePool&) = delete;
  ScorePool& operator=(const ScorePool&) = delete;

  /// Refuses what comes, answers what waits, joins the workers. The queues must live until then.
  /// Idempotent; not from a worker.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class ScoreQueue;

  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  const ScorePoolOptions options_;
  core::Mutex mutex_;  // Of the queues too: a turn looks at more than one of them.
  std::condition_variable changed_;
  std::deque<ScoreQueue*> ready_ ABSL_GUARDED_BY(mutex_);  // with calls that wait; the next first
  std::uint64_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;  // workers that compute
  ServiceTime service_time_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> workers_;  // Last, so that they are joined before what they use dies.
};

}  // namespace orchard::experts::internal
