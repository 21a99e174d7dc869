#include "router/cold_metrics.h"

#include "server/metrics.h"

namespace orchard::router {

ColdMetrics::ColdMetrics(prometheus::Registry& registry, const std::string& model,
                         std::span<const std::string> domains) {
  auto& waiting = server::GaugeFamily(
      registry, "orchard_cold_waiting",
      "Pictures that wait for the expert of a domain while it is being started.");
  for (const std::string& domain : domains) {
    waiting_.push_back(&waiting.Add({{"model", model}, {"domain", domain}}));
  }
}

}  // namespace orchard::router
