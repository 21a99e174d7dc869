#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "core/clock.h"
#include "router/admission_metrics.h"
#include "router/cold_metrics.h"
#include "router/observers.h"
#include "router/request_record.h"
#include "router/routing_window.h"

namespace orchard::router {

/// Everything that the router measures: docs/metrics.md, "Router". Resolved once, so that every
/// series stands at 0 from the start and counting is an atomic add. Thread-safe; the registry owns
/// the series and outlives this.
class Metrics final : public Observer {
 public:
  /// Who has threads of its own.
  enum Pool : std::uint8_t { kDecode, kEncode, kCombine, kPools };

  /// For orchard_model_info.
  struct ModelInfo {
    std::string name = {}, version = {}, encoder_fingerprint = {};
  };

  Metrics(prometheus::Registry& registry, std::span<const std::string> domains,
          const ModelInfo& model, core::Clock::duration window = std::chrono::seconds(60));

  /// A picture, of a call or of a stream. Before its answer: who has it finds it counted.
  void Finished(const RequestRecord& record) override;
  bool before_answer() const override { return true; }

  /// A call was answered.
  void Request(Method method, absl::StatusCode code, core::Clock::duration took);

  void MicroBatch(size_t pictures);

  AdmissionMetrics& admission() { return admission_; }
  ColdMetrics& cold() { return cold_; }

  /// An expert answered a sub-batch, or failed.
  void ExpertCall(size_t domain, absl::StatusCode code, core::Clock::duration took);
  /// An endpoint turned out to serve another model, encoder, or part of another meaning.
  void FingerprintMismatch(size_t domain);

  /// What the process has to divide by; once.
  struct Capacity {
    size_t in_flight = 0;
    std::array<size_t, kPools> workers = {};
  };
  void SetCapacity(const Capacity& capacity);

  /// While it lives, a worker of a pool is busy.
  class Busy {
   public:
    Busy(Metrics& metrics, Pool pool) : metrics_(metrics), pool_(pool) {}
    ~Busy() { metrics_.busy_[pool_]->Increment(core::Seconds(core::Clock::now() - begin_)); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    Metrics& metrics_;
    const Pool pool_;
    const core::Clock::time_point begin_ = core::Clock::now();
  };

  /// What is read when scraped.
  struct Load {
    std::int64_t in_flight = 0;
    size_t decode_waiting = 0, encode_waiting = 0;
    AdmissionMetrics::Load admission = {};
  };
  void Refresh(const Load& load, core::Clock::time_point now);

 private:
  using Counters = std::vector<prometheus::Counter*>;
  using Histograms = std::vector<prometheus::Histogram*>;
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED.

  void RegisterRequests(prometheus::Registry& registry);
  void RegisterDomains(prometheus::Registry& registry, std::span<const std::string> domains);
  void RegisterPictures(prometheus::Registry& registry, size_t domains);
  void RegisterLoad(prometheus::Registry& registry);
  void RegisterWindow(prometheus::Registry& registry, std::span<const std::string> domains);
  void Stages(const Passage& passage);
  void Routed(const Routing& routing, core::Clock::time_point now, bool awaited);

  const std::string model_;  // the label of what is about a domain

  Counters requests_;             // [method * kCodes + code]
  Histograms request_durations_;  // [method]
  Histograms stage_durations_;    // as kStageNames
  Counters missing_;              // [domain * reasons + reason]
  Counters routed_;               // [domain], as the next four
  Counters gate_probability_;
  Counters expert_calls_;  // [domain * kCodes + code]
  Histograms expert_durations_;
  Counters fingerprint_mismatches_;
  Counters outcomes_;  // [outcome]
  prometheus::Counter* degraded_ = nullptr;
  prometheus::Histogram* micro_batch_ = nullptr;
  prometheus::Histogram* experts_asked_ = nullptr;
  Counters busy_;                            // [pool]
  std::vector<prometheus::Gauge*> workers_;  // [pool]
  prometheus::Gauge* in_flight_limit_ = nullptr;
  prometheus::Gauge* in_flight_ = nullptr;
  prometheus::Gauge* decode_depth_ = nullptr;
  prometheus::Gauge* encode_depth_ = nullptr;
  std::vector<prometheus::Gauge*> load_share_;  // [domain]
  prometheus::Gauge* cv_squared_ = nullptr;
  prometheus::Gauge* max_over_mean_ = nullptr;
  prometheus::Gauge* entropy_ = nullptr;
  prometheus::Gauge* balance_loss_ = nullptr;
  RoutingWindow window_;
  AdmissionMetrics admission_;
  ColdMetrics cold_;
};

}  // namespace orchard::router
