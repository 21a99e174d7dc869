#include "router/scatter.h"

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "router/internal/scatter_run.h"

namespace orchard::router {

ScatterStage::ScatterStage(Options options, const Catalogue& catalogue, ExpertFleet& fleet,
                           core::TimerQueue& timers, Estimates& estimates, Metrics& metrics,
                           Next next)
    : options_(options),
      catalogue_(catalogue),
      fleet_(fleet),
      timers_(timers),
      estimates_(estimates),
      metrics_(metrics),
      next_(std::move(next)),
      cold_({.longest = options.cold_start_wait}, fleet, timers, metrics.cold()),
      outstanding_(fleet.domains()),
      pool_({.name = "combine",
             .max_batch = 1,
             .max_waiting = std::numeric_limits<size_t>::max(),
             .workers = options.workers,
             .start_worker = nullptr},
            [this](std::vector<std::shared_ptr<Scatter>> one) {
              const Metrics::Busy busy(metrics_, Metrics::kCombine);
              one.front()->Run();
            }) {}

bool ScatterStage::TakePlace(size_t domain) {
  if (options_.expert_in_flight == 0) return true;
  if (outstanding_[domain].fetch_add(1) < options_.expert_in_flight) return true;
  outstanding_[domain].fetch_sub(1);
  return false;
}

void ScatterStage::GiveBackPlaces(size_t domain, size_t rows) {
  if (options_.expert_in_flight > 0) outstanding_[domain].fetch_sub(rows);
}

void ScatterStage::Unavailable(std::span<std::optional<experts::MissingReason>> out) const {
  fleet_.Unavailable(out);
  if (cold_.longest() > core::Clock::duration::zero()) {
    for (std::optional<experts::MissingReason>& reason : out) {
      if (reason == experts::MissingReason::kCold) reason.reset();
    }
  }
  if (options_.expert_in_flight == 0) return;
  for (size_t domain = 0; domain < out.size(); ++domain) {
    const size_t rows = outstanding_[domain].load(std::memory_order_relaxed);
    if (!out[domain] && rows >= options_.expert_in_flight) {
      out[domain] = experts::MissingReason::kOverloaded;
    }
  }
}

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
