#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/timer_queue.h"
#include "experts/expert.h"
#include "router/cold_metrics.h"
#include "router/cold_starts.h"
#include "router/demand_meter.h"
#include "router/fleet.h"

namespace orchard::router {

/// The experts of one model as pictures ask them: who can be asked now, how many rows wait for
/// whom, and who waits for a domain that is being started. Thread-safe.
class ModelExperts {
 public:
  struct Options {
    /// Rows that wait for one domain's expert; with one more it is missing at once. 0: no limit.
    size_t in_flight = 0;
    /// How long a picture may wait for a domain that is being started; zero: it does not.
    core::Clock::duration cold_start_wait = core::Clock::duration::zero();
    /// Counts what pictures want of each domain; null: nobody counts. Outlives this.
    DemandMeter* demand = nullptr;
  };

  /// Everything given but the fleet outlives this; but `timers`, whose functions use it, end first.
  ModelExperts(Options options, std::unique_ptr<ExpertFleet> fleet, core::TimerQueue& timers,
               ColdMetrics& metrics);

  ExpertFleet& fleet() { return *fleet_; }
  const ExpertFleet& fleet() const { return *fleet_; }
  ColdStarts& cold() { return cold_; }
  const ColdStarts& cold() const { return cold_; }
  size_t domains() const { return fleet_->domains(); }
  experts::Expert& expert(size_t domain) { return fleet_->expert(domain); }

  /// Room for a row at a domain's expert: false when there is none.
  bool TakePlace(size_t domain);
  void GiveBackPlaces(size_t domain, size_t rows);

  /// Why each domain can't be asked now. One that is waited for can.
  void Unavailable(std::span<std::optional<experts::MissingReason>> out) const;

  /// A picture wants these domains, and had not before.
  void Wanted(std::span<const size_t> domains, core::Clock::time_point now);

 private:
  const Options options_;
  const std::unique_ptr<ExpertFleet> fleet_;
  std::vector<std::atomic<size_t>> outstanding_;  // rows by domain, with those that are planned
  ColdStarts cold_;
};

}  // namespace orchard::router
