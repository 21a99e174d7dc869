#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "core/clock.h"
#include "router/admission_metrics.h"
#include "router/observers.h"
#include "router/request_record.h"

namespace orchard::router {

/// What the router measures of itself, whichever model a picture is for: docs/metrics.md, "Router".
/// Resolved once, so that every series stands at 0 from the start and counting is an atomic add.
/// Thread-safe; the registry owns the series and outlives this.
class Metrics final : public Observer {
 public:
  /// Who has threads of its own.
  enum Pool : std::uint8_t { kDecode, kEncode, kCombine, kPools };

  explicit Metrics(prometheus::Registry& registry);

  /// A picture, of a call or of a stream; its model's metrics hear of it too. Before its answer:
  /// who has it finds it counted.
  void Finished(const RequestRecord& record) override;
  bool before_answer() const override { return true; }

  /// A call was answered.
  void Request(Method method, absl::StatusCode code, core::Clock::duration took);

  void MicroBatch(size_t pictures);

  AdmissionMetrics& admission() { return admission_; }

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
  void Refresh(const Load& load);

 private:
  using Counters = std::vector<prometheus::Counter*>;
  using Histograms = std::vector<prometheus::Histogram*>;
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED.

  void RegisterRequests(prometheus::Registry& registry);
  void RegisterPictures(prometheus::Registry& registry);
  void RegisterLoad(prometheus::Registry& registry);
  void Stages(const Passage& passage);

  Counters requests_;             // [method * kCodes + code]
  Histograms request_durations_;  // [method]
  Histograms stage_durations_;    // as kStageNames
  prometheus::Histogram* micro_batch_ = nullptr;
  Counters busy_;                            // [pool]
  std::vector<prometheus::Gauge*> workers_;  // [pool]
  prometheus::Gauge* in_flight_limit_ = nullptr;
  prometheus::Gauge* in_flight_ = nullptr;
  prometheus::Gauge* decode_depth_ = nullptr;
  prometheus::Gauge* encode_depth_ = nullptr;
  AdmissionMetrics admission_;
};

}  // namespace orchard::router
