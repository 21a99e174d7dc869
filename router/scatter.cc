#include "router/scatter.h"

#include <limits>
#include <memory>
#include <utility>

#include "router/internal/scatter_run.h"

namespace orchard::router {

ScatterStage::ScatterStage(Options options, core::TimerQueue& timers, Estimates& estimates,
                           Metrics& metrics, Next next)
    : options_(options),
      timers_(timers),
      estimates_(estimates),
      metrics_(metrics),
      next_(std::move(next)),
      pool_({.name = "combine",
             .max_batch = 1,
             .max_waiting = std::numeric_limits<size_t>::max(),
             .workers = options.workers,
             .start_worker = nullptr},
            [this](std::vector<std::shared_ptr<Scatter>> one) {
              const Metrics::Busy busy(metrics_, Metrics::kCombine);
              one.front()->Run();
            }) {}

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
