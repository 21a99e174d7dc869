#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <grpcpp/channel.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/security/server_credentials.h>

#include "server/address.h"

namespace orchard::server {

/// A service to be hosted. `service` outlives the host.
struct HostedService {
  std::string name;  ///< v1::Classifier::service_full_name(); its name in the health service
  grpc::Service* service = nullptr;
  /// Called when the shutdown begins, on its thread: calls that a caller holds open (streams) are
  /// to end soon, or they hold the shutdown up until its deadline. May be empty.
  std::function<void()> end_streams = nullptr;
};

/// The limits of a gRPC server. Source of the figures: serving.md sections 1.3, 1.7, 4.
///
/// What a process may be made to hold before our code has seen anything: `max_connections`
/// connections, and in them `memory_bytes` of messages that are still coming in. Above it gRPC
/// refuses new calls and then breaks connections, the idle ones first.
struct GrpcLimits {
  /// Largest message that our services accept. gRPC's own limit stands 1 MiB above, so that the
  /// service can refuse in its own words. Bytes.
  size_t max_message_bytes = size_t{4} << 20;
  int max_concurrent_streams = 256;  ///< calls a connection; gRPC has no limit by default
  std::chrono::milliseconds handshake_timeout{10'000};
  /// `orchard` pings every 15 s and routers their experts every 30 s, calls or not; anything
  /// quicker than this is a stray.
  std::chrono::milliseconds min_ping_interval{10'000};
  /// How often the server calls itself so that gRPC's callback threads, which doze for 100 ms when
  /// idle, stay awake (serving.md section 1.1).
  std::chrono::milliseconds heartbeat{250};
  /// Without an answered heartbeat for so long the process is not alive(): gRPC's callback threads
  /// are stuck. Far beyond what a busy machine or a paused one does to a healthy process.
  std::chrono::milliseconds heartbeat_patience{30'000};
  size_t memory_bytes = size_t{512} << 20;  ///< of the transports: buffers, messages coming in
  size_t max_connections = 4096;            ///< more wait in the kernel until one ends
  /// Pings of ours on a connection that is silent: without them a caller that vanished (power,
  /// network) holds its connection, its streams and its watches for two hours.
  std::chrono::milliseconds keepalive_time{30'000};
  std::chrono::milliseconds keepalive_timeout{20'000};
  /// An older connection is asked to go (no call is lost: the client makes a new one first), so
  /// that clients find new servers and new certificates; zero: never. What still runs on it after
  /// the grace is cut, so streams end with their connection.
  std::chrono::milliseconds connection_age{300'000};
  std::chrono::milliseconds connection_grace{30'000};
};

/// A running gRPC server with health, reflection, limits, heartbeat, and an accept loop of our own
/// (internal/acceptor.h).
///
/// Health is NOT_SERVING for "" and for every name until SetServing(true): the default of gRPC is
/// SERVING before the model is loaded (ours: internal/health_service.h). Thread-safe, but Shutdown
/// must not be called from a reaction of a call.
class GrpcHost {
 public:
  /// Binds, starts, and begins the heartbeat. `more_health_names` get a health entry without being
  /// a service, for example the domains of an expert. Without `credentials` connections are plain.
  /// Errors: UNAVAILABLE naming the address when it can't be bound (SO_REUSEPORT is off, so a port
  /// in use is an error and not a silent share of the traffic).
  static absl::StatusOr<std::unique_ptr<GrpcHost>> Start(
      const Address& listen, const std::vector<HostedService>& services,
      const GrpcLimits& limits = {}, const std::vector<std::string>& more_health_names = {},
      const std::shared_ptr<grpc::ServerCredentials>& credentials = nullptr);

  ~GrpcHost();  ///< Shutdown(now), when it was not called.
  GrpcHost(const GrpcHost&) = delete;
  GrpcHost& operator=(const GrpcHost&) = delete;

  /// As bound: the port is never 0.
  const Address& address() const { return address_; }

  /// Health of all names; watchers are told. False for ever after Shutdown.
  void SetServing(bool serving);
  bool serving() const;

  /// Calls within the process, without a socket.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  /// Whether gRPC's callback threads turn: a heartbeat was answered lately. False for ever after
  /// Shutdown has been going on for `heartbeat_patience`.
  bool alive() const;

  /// Whether there is room for another connection. False while the limit of connections or that of
  /// descriptors is reached: who is connected is served, who comes waits.
  bool accepting() const;

  /// Health NOT_SERVING, watches and streams ended, no new calls; waits for those in progress until
  /// `deadline`, cancels what is left, joins. Returns whether all finished in time. Idempotent.
  /// From here on gRPC kills calls that arrive on open connections: that is why the drain waits
  /// first (lifecycle.h).
  bool Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  explicit GrpcHost(std::unique_ptr<State> state);

  Address address_;
  std::unique_ptr<State> state_;
};

}  // namespace orchard::server
