#pragma once

#include <chrono>

#include "absl/status/status.h"
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

/// \file
/// absl::Status ↔ grpc::Status. The only place where one becomes the other.

namespace orchard::server {

/// The trailer by which a server asks for patience; gRPC's own retries honour it (gRFC A6).
inline constexpr char kRetryPushbackTrailer[] = "grpc-retry-pushback-ms";

/// For the wire. CANCELLED becomes UNAVAILABLE: on our wire CANCELLED can only mean a dying server,
/// so that clients may retry it (serving.md section 1.9). A message over 2 KiB is cut, because
/// trailers over 8 KiB would replace the error by another one.
grpc::Status ToGrpc(const absl::Status& status);

/// The same; a RESOURCE_EXHAUSTED also gets the trailer kRetryPushbackTrailer with `pushback`.
/// Call it before Finish, while `context` is alive.
grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context,
                    std::chrono::milliseconds pushback);

/// For us, on the client's side: the same code (an unknown one becomes UNKNOWN) and message.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace orchard::server
