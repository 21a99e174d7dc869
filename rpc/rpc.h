#pragma once

/// \file
/// rpc/: what both ends of a gRPC call share: servers, the router as a client of experts, and the
/// C++ client. Nothing about pictures, nothing that servers alone need. Read in this order:
///   status.h  absl::Status ↔ grpc::Status, the only place; reasons and pushback
///   tls.h     identity and trust from files, taken anew when they change
