#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "core/clock.h"
#include "router/cold_metrics.h"
#include "router/request_record.h"
#include "router/routing_window.h"

namespace orchard::router {

/// What the router measures of one model: the series of docs/metrics.md, "Router", that have its
/// name in the label `model`. Resolved once, so that every series stands at 0 from the start and
/// counting is an atomic add. Thread-safe; the registry owns the series and outlives this.
class ModelMetrics {
 public:
  /// For orchard_model_info.
  struct ModelInfo {
    std::string name = {}, version = {}, encoder_fingerprint = {};
  };

  ModelMetrics(prometheus::Registry& registry, std::span<const std::string> domains,
               const ModelInfo& model, core::Clock::duration window = std::chrono::seconds(60));

  /// A picture of this model: how it was routed, and what came of it.
  void Finished(const RequestRecord& record);

  ColdMetrics& cold() { return cold_; }

  /// An expert answered a sub-batch, or failed.
  void ExpertCall(size_t domain, absl::StatusCode code, core::Clock::duration took);
  /// An endpoint turned out to serve another model, encoder, or part of another meaning.
  void FingerprintMismatch(size_t domain);

  /// What is computed when scraped.
  void Refresh(core::Clock::time_point now);

 private:
  using Counters = std::vector<prometheus::Counter*>;
  using Histograms = std::vector<prometheus::Histogram*>;
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED.

  void RegisterDomains(prometheus::Registry& registry, std::span<const std::string> domains);
  void RegisterPictures(prometheus::Registry& registry, size_t domains);
  void RegisterWindow(prometheus::Registry& registry, std::span<const std::string> domains);
  void Routed(const Routing& routing, core::Clock::time_point now, bool awaited);

  const std::string model_;  // the label

  Counters missing_;  // [domain * reasons + reason]
  Counters routed_;   // [domain], as the next four
  Counters gate_probability_;
  Counters expert_calls_;  // [domain * kCodes + code]
  Histograms expert_durations_;
  Counters fingerprint_mismatches_;
  Counters outcomes_;  // [outcome]
  prometheus::Counter* degraded_ = nullptr;
  prometheus::Histogram* experts_asked_ = nullptr;
  std::vector<prometheus::Gauge*> load_share_;  // [domain]
  prometheus::Gauge* cv_squared_ = nullptr;
  prometheus::Gauge* max_over_mean_ = nullptr;
  prometheus::Gauge* entropy_ = nullptr;
  prometheus::Gauge* balance_loss_ = nullptr;
  RoutingWindow window_;
  ColdMetrics cold_;
};

}  // namespace orchard::router
