#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include <grpcpp/server_context.h>

#include "router/fair_share.h"

/// \file
/// Who calls, and how urgent it is: what admission asks of a call.

namespace orchard::router {

inline constexpr char kPriorityKey[] = "x-priority";

/// The caller's name: that of its certificate when it showed one that was accepted, otherwise its
/// address without the port, so that a client's connections count as one. What a proxy passes on
/// comes from one caller, unless the proxy shows its callers' certificates.
std::string CallerOf(const grpc::CallbackServerContext& context);

/// Of gRPC's name of a peer: "ipv4:10.0.0.1:4321" → "ipv4:10.0.0.1"; what has no port stays.
std::string_view WithoutPort(std::string_view peer);

/// The metadata x-priority: `interactive` (the default) or `batch`.
/// Errors: INVALID_ARGUMENT for another word, with the words that there are.
absl::StatusOr<Priority> PriorityOf(const grpc::CallbackServerContext& context);
absl::StatusOr<Priority> ParsePriority(std::string_view word);

}  // namespace orchard::router
