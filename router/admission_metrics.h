#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "router/estimates.h"
#include "router/refusal.h"

namespace orchard::router {

/// What admission measures: docs/metrics.md, "Router".
/// Thread-safe; the registry owns the series and outlives this.
class AdmissionMetrics {
 public:
  explicit AdmissionMetrics(prometheus::Registry& registry);

  /// Bytes of the pictures in progress at most; once.
  void SetBytesLimit(std::uint64_t bytes);

  /// A request ended with `status` before all work was spent on it; counts when a limit refused it.
  void Refused(const absl::Status& status);

  /// What is read when scraped.
  struct Load {
    std::uint64_t bytes = 0;
    size_t callers = 0;
    Estimates::Figures estimates = {};
  };
  void Refresh(const Load& load);

 private:
  std::array<prometheus::Counter*, kSheds> shed_ = {};
  std::array<prometheus::Gauge*, 4> estimates_ = {};
  prometheus::Gauge* bytes_ = nullptr;
  prometheus::Gauge* bytes_limit_ = nullptr;
  prometheus::Gauge* callers_ = nullptr;
  prometheus::Gauge* margin_ = nullptr;
};

}  // namespace orchard::router
