#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"

#include "rpc/state_streams.h"

namespace orchard::server::internal {

/// Health of a server, all names together. Thread-safe; outlives its server.
///
/// Not gRPC's default service, for two reasons. That one says SERVING for "" from its first moment,
/// before anybody can object. And its Watch calls outlive everything: one forgotten watcher holds
/// Server::Shutdown up until the deadline (measured: the whole 20 s of it), while here
/// EndWatches() sends them home. By the way, reflection knows this one's messages.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  /// Knows `names` (an empty one is the server as a whole), all NOT_SERVING.
  explicit HealthService(std::vector<std::string> names);

  /// The state of every name; watchers are told.
  void SetServing(bool serving);

  /// Ends every Watch with UNAVAILABLE, those to come as well.
  void EndWatches();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;

  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  using Response = grpc::health::v1::HealthCheckResponse;
  // What a watch is about: all names that we know have one state.
  static constexpr size_t kUnknown = 0;
  static constexpr size_t kKnown = 1;

  Response::ServingStatus StatusOf(size_t name) const;
  std::optional<Response> NewsOf(size_t name, const std::optional<Response>& told) const;

  const std::unordered_set<std::string> names_;
  std::atomic<bool> serving_ = false;
  // Connections are limited, and streams on each: health has no limit of its own.
  rpc::StateStreams<Response> watches_{std::numeric_limits<size_t>::max()};
};

}  // namespace orchard::server::internal
