#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/micro_batcher.h"
#include "router/encoded.h"
#include "router/estimates.h"
#include "router/metrics.h"
#include "router/request.h"

namespace orchard::router {

/// Pixels → features and gates, in micro-batches of one model each, on workers. Thread-safe.
class EncodeStage {
 public:
  struct Options {
    size_t workers = 1;        ///< threads, one forward pass each
    size_t max_batch = 4;      ///< pictures; more leave the cache (serving.md section 2.3)
    size_t max_waiting = 256;  ///< requests; one more is refused
    std::function<void()> start_worker;  ///< first thing on each thread; may be empty
  };
  /// Takes an encoded micro-batch on; request i is row i.
  using Next = std::function<void(Encoded, std::vector<RequestPtr>)>;

  EncodeStage(Options options, Estimates& estimates, Metrics& metrics, Next next);

  /// On an error the request was not touched. Errors: RESOURCE_EXHAUSTED, UNAVAILABLE.
  absl::Status Submit(RequestPtr&& request) { return batcher_.Submit(std::move(request)); }

  size_t Waiting() const { return batcher_.Waiting(); }
  /// Pictures in forward passes; after one that failed, also those that are still to have their
  /// own.
  size_t Encoding() const { return encoding_.load(std::memory_order_relaxed); }

 private:
  void Process(std::vector<RequestPtr> batch);
  void DropUnwanted(std::vector<RequestPtr>& batch);
  void Run(std::vector<RequestPtr> batch);
  static absl::StatusOr<Encoded> Encode(std::span<const RequestPtr> batch);
  void RunEach(std::vector<RequestPtr> batch);
  void Learn(const std::vector<RequestPtr>& batch, core::Clock::duration took);
  void GoOn(Encoded encoded, std::vector<RequestPtr> batch, core::Clock::time_point now);
  static void Fail(const absl::Status& status, RequestPtr request);

  Estimates& estimates_;
  Metrics& metrics_;
  const Next next_;
  std::atomic<size_t> encoding_ = 0;
  core::MicroBatcher<RequestPtr> batcher_;  // Last: its threads use everything above.
};

}  // namespace orchard::router
