#include "router/fleet_metrics.h"

#include <utility>

#include "server/metrics.h"

namespace orchard::router {
namespace {

using experts::EndpointState;
using experts::HedgeResult;
using server::CounterFamily;
using server::GaugeFamily;

constexpr std::array<EndpointState, experts::kEndpointStates> kStates = {
    EndpointState::kUp, EndpointState::kConnecting, EndpointState::kEjected,
    EndpointState::kForeign, EndpointState::kDown};
constexpr std::array<const char*, experts::kHedgeResults> kResults = {"won", "lost", "failed"};

}  // namespace

FleetMetrics::FleetMetrics(prometheus::Registry& registry, const std::string& model,
                           std::span<const std::string> domains) {
  auto& endpoints = GaugeFamily(registry, "orchard_expert_endpoints",
                                "Addresses of a domain's expert, by what is known of them.");
  auto& retries = CounterFamily(registry, "orchard_expert_retries_total",
                                "Calls to experts that were made again, at another address.");
  auto& ejections =
      CounterFamily(registry, "orchard_expert_ejections_total",
                    "Addresses that were left alone because they failed too often in a row.");
  auto& hedges = CounterFamily(registry, "orchard_expert_hedges_total",
                               "Late calls to experts that were joined by one to another address.");
  for (const std::string& name : domains) {
    Domain& domain = domains_.emplace_back();
    const prometheus::Labels labels = {{"model", model}, {"domain", name}};
    for (const EndpointState state : kStates) {
      prometheus::Labels with_state = labels;
      with_state["state"] = std::string(Name(state));
      domain.endpoints[static_cast<size_t>(state)] = &endpoints.Add(with_state);
    }
    domain.retries = &retries.Add(labels);
    domain.ejections = &ejections.Add(labels);
    for (size_t result = 0; result < kResults.size(); ++result) {
      prometheus::Labels with_result = labels;
      with_result["result"] = kResults[result];
      domain.hedges[result] = &hedges.Add(with_result);
    }
  }
}

experts::FleetEvents FleetMetrics::EventsOf(size_t domain, std::function<void()> mismatched) {
  const Domain& own = domains_[domain];
  experts::FleetEvents events;
  events.on_transition = [own](const experts::EndpointTransition& transition) {
    if (transition.state == EndpointState::kEjected) own.ejections->Increment();
  };
  events.on_mismatch = std::move(mismatched);
  events.on_retry = [own] { own.retries->Increment(); };
  events.on_hedge = [own](HedgeResult result) {
    own.hedges[static_cast<size_t>(result)]->Increment();
  };
  return events;
}

void FleetMetrics::Refresh(const ExpertFleet& fleet) {
  for (size_t domain = 0; domain < domains_.size(); ++domain) {
    std::array<size_t, experts::kEndpointStates> counts{};
    for (const auto& endpoint : fleet.Endpoints(domain)) {
      ++counts[static_cast<size_t>(endpoint.state)];
    }
    for (size_t state = 0; state < counts.size(); ++state) {
      domains_[domain].endpoints[state]->Set(static_cast<double>(counts[state]));
    }
  }
}

}  // namespace orchard::router
