#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "core/clock.h"
#include "experts/expert_spec.h"

namespace orchard::experts {

/// What the service of one domain measures. Resolved once, at start. Thread-safe; the registry owns
/// what is pointed to and outlives this.
class DomainMetrics {
 public:
  /// One call was answered with `code`.
  void Called(absl::StatusCode code);
  /// `rows` rows of one or more calls were computed together in `duration`.
  void Computed(size_t rows, core::Clock::duration duration);
  /// A call waited `duration` before its batch was computed.
  void Waited(core::Clock::duration duration);
  /// A worker of the pool was busy with this domain.
  void Worked(core::Clock::duration duration) { busy_->Increment(core::Seconds(duration)); }
  /// A caller cancelled, or its deadline passed, before it had its answer.
  void Abandoned() { abandoned_->Increment(); }
  /// Features of another encoder were refused.
  void Mismatched() { mismatches_->Increment(); }

 private:
  friend class ExpertMetrics;

  static constexpr size_t kCodes = 17;  // gRPC's
  std::array<prometheus::Counter*, kCodes> calls_{};
  prometheus::Counter* rows_ = nullptr;
  prometheus::Counter* busy_ = nullptr;  // of all domains: they share the workers
  prometheus::Counter* abandoned_ = nullptr;
  prometheus::Counter* mismatches_ = nullptr;
  prometheus::Histogram* batch_size_ = nullptr;
  prometheus::Histogram* queue_ = nullptr;
  prometheus::Histogram* compute_ = nullptr;
};

/// The metrics of an expert service: docs/metrics.md, "Expert service".
class ExpertMetrics {
 public:
  /// The label of calls for a domain that is not served: callers don't make up labels.
  static constexpr char kForeign[] = "foreign";

  /// Registers everything. `model`: "default", `version`: "1", for orchard_model_info.
  ExpertMetrics(prometheus::Registry& registry, const std::vector<ExpertSpec>& specs,
                const std::string& model, const std::string& version);

  /// What there is to divide by; once.
  struct Capacity {
    size_t workers = 0;
    size_t waiting_calls = 0, waiting_rows = 0;  ///< at most, per domain
    std::uint64_t waiting_bytes = 0;             ///< at most, of all domains
  };
  void SetCapacity(const Capacity& capacity);

  /// How a layer of experts inside a domain's network was used: shares of all picks, [E]. Of a
  /// network's many layers and experts the first 64 each have a series.
  void SetLayerLoad(const std::string& domain, size_t layer, std::span<const double> shares);

  /// Of the domain with this index among the specs.
  DomainMetrics& domain(size_t index) { return *domains_[index]; }
  /// Of calls for a domain that is not served; only Called() may be called.
  DomainMetrics& foreign() { return *foreign_; }

  /// Rows began or ceased to wait or be in progress. Differences, because a value that two threads
  /// set might stay wrong.
  void AddInFlight(size_t rows) { in_flight_->Increment(static_cast<double>(rows)); }
  void RemoveInFlight(size_t rows) { in_flight_->Decrement(static_cast<double>(rows)); }

 private:
  std::vector<std::unique_ptr<DomainMetrics>> domains_;
  std::unique_ptr<DomainMetrics> foreign_;
  prometheus::Gauge* in_flight_;
  prometheus::Gauge* workers_;
  std::array<prometheus::Gauge*, 3> waiting_limits_{};  // calls, rows, bytes
  const std::string model_;
  prometheus::Registry& registry_;  // a layer's series stand when its first load is known
};

}  // namespace orchard::experts
