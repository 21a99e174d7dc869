#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpc/health/v1/health.grpc.pb.h"

#include "core/mutex.h"

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
  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Ends every Watch with UNAVAILABLE, those to come as well.
  void EndWatches() ABSL_LOCKS_EXCLUDED(mutex_);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;

  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  using Response = grpc::health::v1::HealthCheckResponse;
  class WatchCall;

  Response::ServingStatus Status() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return serving_ ? Response::SERVING : Response::NOT_SERVING;
  }

  const std::unordered_set<std::string> names_;
  core::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_set<WatchCall*> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::server::internal
