#include "experts/internal/score_pool.h"

#include <utility>

#include "experts/internal/score_queue.h"

namespace orchard::experts::internal {

ScorePool::ScorePool(ScorePoolOptions options) : options_(std::move(options)) {
  for (size_t i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { Work(); });
}

void ScorePool::Stop() {
  {
    core::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  workers_.clear();  // Joins.
}

void ScorePool::Work() {
  if (options_.start_worker) options_.start_worker();
  bool busy = false;
  while (true) {
    ScoreQueue* queue = nullptr;
    std::vector<PendingScore*> batch;
    {
      core::MutexLock lock(mutex_);
      if (busy) --busy_;
      while (ready_.empty() && !stopping_) lock.Wait(changed_);
      if (ready_.empty()) return;
      ++busy_;
      busy = true;
      queue = ready_.front();
      ready_.pop_front();
      // Other domains that wait have a worker of their own before a second one joins in here.
      const size_t idle = options_.workers - busy_;
      const size_t free = idle > ready_.size() ? idle - ready_.size() : 0;
      bool more = false;
      batch = queue->TakeTurn(free + 1, more);
      if (more) {
        ready_.push_back(queue);  // Behind the other domains.
        changed_.notify_one();
      }
    }
    queue->Process(batch);
  }
}

}  // namespace orchard::experts::internal
