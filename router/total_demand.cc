#include "router/total_demand.h"

#include <algorithm>
#include <set>
#include <utility>

namespace orchard::router {

Demand TotalOf(std::span<const Demand> routers, double target_utilisation) {
  Demand total;
  double service = 0.0;
  double known = 0.0;    // routers that know what a row takes
  double unknown = 0.0;  // rows a second of the others
  for (const Demand& demand : routers) {
    total.rows_per_second += demand.rows_per_second;
    total.active = total.active || demand.active;
    if (!demand.service_seconds) {
      unknown += demand.rows_per_second;
      continue;
    }
    total.desired_replicas += demand.desired_replicas;
    service += *demand.service_seconds;
    known += 1.0;
  }
  if (known > 0.0) {
    total.service_seconds = service / known;
    total.desired_replicas += unknown * *total.service_seconds / target_utilisation;
  } else if (total.active) {
    total.desired_replicas = 1.0;
  }
  return total;
}

bool PeerReports::Put(const std::string& address, PeerReport report) {
  const auto active = [](const std::vector<Demand>& demands) {
    std::vector<bool> bits;
    for (const Demand& demand : demands) bits.push_back(demand.active);
    return bits;
  };
  PeerReport& known = reports_[address];
  const bool changed = active(known.domains) != active(report.domains);
  known = std::move(report);
  return changed;
}

std::vector<Demand> PeerReports::Totals(std::span<const Demand> own,
                                        const std::string& own_instance, double target_utilisation,
                                        core::Clock::time_point now) const {
  std::set<std::string> counted = {own_instance};
  std::vector<const PeerReport*> fresh;
  for (const auto& [address, report] : reports_) {
    if (now - report.when > patience_ || report.domains.size() != own.size()) continue;
    if (counted.insert(report.instance).second) fresh.push_back(&report);
  }
  std::vector<Demand> totals;
  std::vector<Demand> of_domain;
  for (size_t domain = 0; domain < own.size(); ++domain) {
    of_domain.assign(1, own[domain]);
    for (const PeerReport* const report : fresh) of_domain.push_back(report->domains[domain]);
    totals.push_back(TotalOf(of_domain, target_utilisation));
  }
  return totals;
}

}  // namespace orchard::router
