#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include <grpcpp/server_context.h>

#include "core/clock.h"
#include "core/trace_context.h"
#include "orchard/v1/classifier.pb.h"
#include "router/metrics.h"
#include "router/model_registry.h"
#include "router/pipeline.h"

/// \file
/// What the calls of the classifier service share: the edge between gRPC and the pipeline.

namespace orchard::router {

/// What the calls use; all of it outlives them.
struct CallServices {
  const ModelRegistry& models;
  Pipeline& pipeline;
  Metrics& metrics;
  size_t max_stream_in_flight = 16;  ///< requests in progress per stream
  std::stop_token draining = {};     ///< asks to stop when streams are to end
};

/// The caller's deadline on our clock; without a value when it gave none.
std::optional<core::Clock::time_point> DeadlineOf(const grpc::CallbackServerContext& context);

/// Which request a call is.
struct CallIds {
  std::string request_id;
  core::TraceContext trace;  ///< `span` is our own
};

/// The caller's x-request-id and traceparent, where they are such; otherwise new ones: 16 random
/// hex digits, and a trace that begins here.
CallIds IdsOf(const grpc::CallbackServerContext& context);

/// Another part of the same trace: of one picture of a stream.
core::TraceContext SiblingOf(const core::TraceContext& trace);

/// Adds the trailers that tell the caller the ids. Before the call's end.
void AddTrailers(const CallIds& ids, grpc::CallbackServerContext& context);

/// A job with its model, and the options that a request chose of it: what is wrong with these, or
/// that there is no such model, is the status, and the job has what could be found out.
absl::Status Choose(const CallServices& services, const v1::ClassifyRequest& request, Job& job);

/// Whether the caller wants `routing.domains`; the default is yes.
inline bool WantsGates(const v1::ClassifyOptions& options) {
  return !options.has_gate_probabilities() || options.gate_probabilities();
}

}  // namespace orchard::router
