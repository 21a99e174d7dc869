#include "router/demand_metrics.h"

#include "server/metrics.h"

namespace orchard::router {

using server::GaugeFamily;

DemandMetrics::DemandMetrics(prometheus::Registry& registry, const std::string& model,
                             std::span<const std::string> domains) {
  auto& desired = GaugeFamily(registry, "orchard_expert_desired_replicas",
                              "Replicas that this router's pictures need of a domain's expert.");
  auto& rows = GaugeFamily(registry, "orchard_expert_demand_rows_per_second",
                           "Pictures a second that want a domain's expert, asked or not.");
  auto& service = GaugeFamily(registry, "orchard_expert_service_seconds",
                              "What a row takes of one replica of a domain's expert.");
  for (const std::string& name : domains) {
    const prometheus::Labels labels = {{"model", model}, {"domain", name}};
    domains_.push_back({.desired = &desired.Add(labels),
                        .rows_per_second = &rows.Add(labels),
                        .service_seconds = &service.Add(labels)});
  }
  auto& peers = GaugeFamily(registry, "orchard_router_peers",
                            "Other routers whose demand is watched, by what is known of them.");
  for (size_t state = 0; state < kPeerStates; ++state) {
    peers_[state] = &peers.Add({{"state", std::string(Name(static_cast<PeerState>(state)))}});
  }
}

void DemandMetrics::Refresh(std::span<const Demand> own) {
  for (size_t domain = 0; domain < domains_.size(); ++domain) {
    domains_[domain].desired->Set(own[domain].desired_replicas);
    domains_[domain].rows_per_second->Set(own[domain].rows_per_second);
    domains_[domain].service_seconds->Set(own[domain].service_seconds.value_or(0.0));
  }
}

void DemandMetrics::RefreshPeers(const std::array<size_t, kPeerStates>& counts) {
  for (size_t state = 0; state < kPeerStates; ++state) {
    peers_[state]->Set(static_cast<double>(counts[state]));
  }
}

}  // namespace orchard::router
