#pragma once

#include <chrono>
#include <string>

#include <grpcpp/support/channel_arguments.h>

namespace orchard::rpc {

/// How one of our channels keeps its connection.
struct ConnectionOptions {
  /// What the certificate is checked against; empty: the host of the channel's address. Nobody has
  /// a certificate for the addresses behind a name.
  std::string authority = {};
  std::chrono::milliseconds keepalive{15'000};  ///< the servers allow 10 s (server/grpc_host.h)
  std::chrono::milliseconds keepalive_timeout{10'000};
  bool keepalive_when_idle = true;
  std::chrono::milliseconds first_backoff{1'000};  ///< before the second try to connect
  std::chrono::milliseconds most_backoff{1'000};
  /// Of one try. A host that is gone sends no refusal.
  std::chrono::milliseconds connect_timeout{2'000};
};

/// What all our channels that stay have in common; who makes one adds what is its own. Nothing but
/// settings reads the environment or the DNS, and channels share no connections.
grpc::ChannelArguments ConnectionArguments(const ConnectionOptions& options);

}  // namespace orchard::rpc
