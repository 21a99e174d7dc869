#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "router/demand_meter.h"

/// \file
/// The demand of a fleet of routers, from what each says of its own. Pure.

namespace orchard::router {

/// What all of them need of one domain's expert together. A router that does not know yet what a
/// row takes takes the mean of those that know; when none does, one replica is enough to find out.
Demand TotalOf(std::span<const Demand> routers, double target_utilisation);

/// What one router said last.
struct PeerReport {
  std::string instance;         ///< of its process
  std::vector<Demand> domains;  ///< in the order of our model
  core::Clock::time_point when;
};

/// The last word of each peer, by address. One that is silent counts no longer after `patience`.
/// Time is an argument. Not thread-safe: the owner locks.
class PeerReports {
 public:
  explicit PeerReports(core::Clock::duration patience = std::chrono::seconds(5))
      : patience_(patience) {}

  /// Returns whether that changes who is active.
  bool Put(const std::string& address, PeerReport report);
  void Forget(const std::string& address) { reports_.erase(address); }

  /// By domain of our model: what all need together. `own` is ours; a report of the process
  /// `own_instance` and further ones of a process that has several addresses are left out.
  std::vector<Demand> Totals(std::span<const Demand> own, const std::string& own_instance,
                             double target_utilisation, core::Clock::time_point now) const;

 private:
  const core::Clock::duration patience_;
  std::map<std::string, PeerReport> reports_;
};

}  // namespace orchard::router
