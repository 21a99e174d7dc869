#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "router/demand_meter.h"
#include "router/peer_state.h"

namespace orchard::router {

/// What the router measures of how much is wanted of each expert: docs/metrics.md, "Router".
/// Resolved once, so that every series stands at 0 from the start. Thread-safe; the registry owns
/// the series and outlives this.
class DemandMetrics {
 public:
  DemandMetrics(prometheus::Registry& registry, const std::string& model,
                std::span<const std::string> domains);

  /// What is read when scraped: this router's own, by domain.
  void Refresh(std::span<const Demand> own);
  /// By PeerState.
  void RefreshPeers(const std::array<size_t, kPeerStates>& counts);

 private:
  struct Domain {
    prometheus::Gauge* desired = nullptr;
    prometheus::Gauge* rows_per_second = nullptr;
    prometheus::Gauge* service_seconds = nullptr;
  };

  std::vector<Domain> domains_;
  std::array<prometheus::Gauge*, kPeerStates> peers_{};
};

}  // namespace orchard::router
