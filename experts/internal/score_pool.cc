#include "experts/internal/score_pool.h"

#include <utility>

#include "core/clock.h"
#include "experts/internal/score_queue.h"

namespace orchard::experts::internal {

using core::Clock;

namespace {

ServiceTime::Options WithWorkers(ServiceTime::Options options, size_t workers) {
  options.workers = workers;
  return options;
}

}  // namespace

ScorePool::ScorePool(ScorePoolOptions options)
    : options_(std::move(options)),
      service_time_(WithWorkers(options_.service_time, options_.workers)) {
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
  ScoreQueue* queue = nullptr;  // that was worked for
  size_t rows = 0;
  Clock::time_point began, ended;
  while (true) {
    std::vector<PendingScore*> batch;
    {
      core::MutexLock lock(mutex_);
      if (queue != nullptr) {
        --busy_;
        service_time_.Worked(queue->domain(), rows, ended - began, ended);
        queue->SetServiceSeconds(service_time_.Seconds(queue->domain()));
      }
      while (ready_.empty() && !stopping_) lock.Wait(changed_);
      if (ready_.empty()) return;
      ++busy_;
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
    began = Clock::now();
    rows = queue->Process(batch);
    ended = Clock::now();
  }
}

}  // namespace orchard::experts::internal
