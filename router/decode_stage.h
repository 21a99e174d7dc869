#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"

#include "core/micro_batcher.h"
#include "router/admission.h"
#include "router/metrics.h"
#include "router/request.h"
#include "vision/preprocess.h"

namespace orchard::router {

/// Bytes → the encoder's pixels, on a pool of threads. Thread-safe.
class DecodeStage {
 public:
  struct Options {
    size_t workers = 1;        ///< threads
    size_t max_waiting = 256;  ///< requests; one more is refused
    vision::Limits limits;
    vision::Profile profile;
  };
  /// Takes a decoded request on; on an error the request is still the stage's.
  using Next = std::function<absl::Status(RequestPtr&&)>;

  DecodeStage(Options options, ServiceTimes& times, Metrics& metrics, Next next);

  /// On an error the request was not touched. Errors: RESOURCE_EXHAUSTED, UNAVAILABLE.
  absl::Status Submit(RequestPtr&& request) { return pool_.Submit(std::move(request)); }

  size_t Waiting() const { return pool_.Waiting(); }

 private:
  void Process(RequestPtr request);
  absl::Status Decode(Request& request);

  const Options options_;
  ServiceTimes& times_;
  Metrics& metrics_;
  const Next next_;
  core::MicroBatcher<RequestPtr> pool_;  // Last: its threads use everything above.
};

}  // namespace orchard::router
