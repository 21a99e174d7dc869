#pragma once

#include <chrono>
#include <string_view>

#include "absl/status/status.h"

#include "core/trace_context.h"
#include "orchard/v1/classifier.pb.h"

/// \file
/// What programs are told of a failed request: google.rpc.ErrorInfo, and when to come again
/// (proto/orchard/v1/classifier.proto, Classify).

namespace orchard::router {

/// About the time in which a full queue makes room.
inline constexpr std::chrono::milliseconds kPushback{100};

/// UNAVAILABLE with reason NO_EXPERT and the pushback -1: the server is well, and asking it again
/// at once would cost as much and bring no more. `domains`: those that were wanted, by commas.
absl::Status NoExpertError(std::string_view message, std::string_view domains);

/// UNAVAILABLE with reason DRAINING.
absl::Status DrainingError();

/// The error as its caller gets it: with a reason (by its code, where none was said: INVALID,
/// OVERLOADED, DEADLINE, DRAINING, INTERNAL), a pushback where it is OVERLOADED, and the ids by
/// which people find it in the log. OK stays OK.
absl::Status ForCaller(const absl::Status& status, std::string_view request_id,
                       const core::TraceContext& trace);

/// What ForCaller made, as a message of a stream.
v1::CallError ToCallError(const absl::Status& status);

}  // namespace orchard::router
