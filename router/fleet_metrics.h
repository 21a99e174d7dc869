#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "experts/endpoint_state.h"
#include "experts/fleet_events.h"
#include "router/fleet.h"

namespace orchard::router {

/// What the router measures of its experts' endpoints: docs/metrics.md, "Router". Resolved once, so
/// that every series stands at 0 from the start. Thread-safe; the registry owns the series and
/// outlives this.
class FleetMetrics {
 public:
  FleetMetrics(prometheus::Registry& registry, const std::string& model,
               std::span<const std::string> domains);

  /// Counts what a domain's expert tells. This object outlives the expert. `mismatched` is passed
  /// on.
  experts::FleetEvents EventsOf(size_t domain, std::function<void()> mismatched);

  /// What is read when scraped.
  void Refresh(const ExpertFleet& fleet);

 private:
  struct Domain {
    std::array<prometheus::Gauge*, experts::kEndpointStates> endpoints{};
    prometheus::Counter* retries = nullptr;
    prometheus::Counter* ejections = nullptr;
    std::array<prometheus::Counter*, experts::kHedgeResults> hedges{};
  };

  std::vector<Domain> domains_;
};

}  // namespace orchard::router
