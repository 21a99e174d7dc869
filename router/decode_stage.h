#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"

#include "router/estimates.h"
#include "router/metrics.h"
#include "router/request.h"
#include "router/waiting_room.h"
#include "vision/decode.h"

namespace orchard::router {

/// Bytes → the pixels that the encoder of the request's model reads, and the picture where its
/// experts may look at it, on a pool of threads that take requests from the waiting room.
/// Thread-safe.
class DecodeStage {
 public:
  struct Options {
    size_t workers = 1;  ///< threads
    vision::Limits limits;
  };
  /// Takes a decoded request on; on an error the request is still the stage's.
  using Next = std::function<absl::Status(RequestPtr&&)>;

  /// Everything given outlives the stage.
  DecodeStage(Options options, WaitingRoom<RequestPtr>& room, Estimates& estimates,
              Metrics& metrics, Next next);

  /// Works off what waits.
  ~DecodeStage() { room_.Stop(); }

  DecodeStage(const DecodeStage&) = delete;
  DecodeStage& operator=(const DecodeStage&) = delete;

 private:
  void Work();
  void Process(RequestPtr request);
  absl::Status Decode(Request& request);
  absl::Status DecodePixels(Request& request) const;
  absl::Status DecodeAndHold(Request& request) const;

  const Options options_;
  WaitingRoom<RequestPtr>& room_;
  Estimates& estimates_;
  Metrics& metrics_;
  const Next next_;
  std::vector<std::jthread> workers_;  // Last: they use everything above.
};

}  // namespace orchard::router
