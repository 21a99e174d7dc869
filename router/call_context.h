#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/server_context.h>

#include "core/clock.h"
#include "orchard/v1/classifier.pb.h"
#include "router/classification.h"
#include "router/metrics.h"
#include "router/pipeline.h"

/// \file
/// What the calls of the classifier service share: the edge between gRPC and the pipeline.

namespace orchard::router {

/// The trailer of RESOURCE_EXHAUSTED: about the time in which a full queue makes room.
inline constexpr std::chrono::milliseconds kPushback{100};

inline constexpr char kRequestIdKey[] = "x-request-id";

/// What the calls use; all of it outlives them.
struct CallServices {
  Pipeline& pipeline;
  Metrics& metrics;
  size_t max_stream_in_flight = 16;  ///< requests in progress per stream
  std::stop_token draining = {};     ///< asks to stop when streams are to end
};

/// The caller's deadline on our clock; without a value when it gave none.
std::optional<core::Clock::time_point> DeadlineOf(const grpc::CallbackServerContext& context);

/// The caller's x-request-id, if it is one: 1 to 128 printable characters without spaces.
/// Otherwise a new random one, 16 hex digits.
std::string RequestIdOf(const grpc::CallbackServerContext& context);

/// Whether the caller wants `routing.domains`; the default is yes.
inline bool WantsGates(const v1::ClassifyOptions& options) {
  return !options.has_gate_probabilities() || options.gate_probabilities();
}

/// One request's line in the log. Made before the answer leaves, from what will be gone after it;
/// written after, because writing takes a lock.
class RequestLine {
 public:
  RequestLine(const char* event, std::string request_id, size_t bytes, core::Clock::duration took,
              const absl::StatusOr<Classification>& answer);

  void Write() const;

 private:
  const char* event_;
  std::string request_id_;
  size_t bytes_;
  double ms_;
  absl::StatusCode code_;
  std::string reason_;
  moe::PolicyKind policy_ = moe::PolicyKind::kExact;
  moe::Outcome outcome_ = moe::Outcome::kOk;
  size_t experts_ = 0;
  bool degraded_ = false;
};

}  // namespace orchard::router
