#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace orchard::router {

/// What the router measures of domains that are being started: docs/metrics.md, "Router".
/// Thread-safe; the registry owns the series and outlives this.
class ColdMetrics {
 public:
  ColdMetrics(prometheus::Registry& registry, const std::string& model,
              std::span<const std::string> domains);

  /// So many pictures wait for a domain now.
  void SetWaiting(size_t domain, size_t pictures) {
    waiting_[domain]->Set(static_cast<double>(pictures));
  }

 private:
  std::vector<prometheus::Gauge*> waiting_;  // [domain]
};

}  // namespace orchard::router
