#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/support/server_callback.h>
#include <prometheus/registry.h>

#include "experts/expert_metrics.h"
#include "experts/expert_spec.h"
#include "experts/scorer.h"
#include "model/expert_head.h"
#include "orchard/v1/expert.grpc.pb.h"

namespace orchard::experts {

namespace internal {
class ScorePool;
class ScoreQueue;
}  // namespace internal

struct ExpertServiceOptions {
  size_t max_batch = 32;           ///< rows computed together, unless one call has more
  size_t max_waiting = 256;        ///< calls that wait, per domain; one more is refused
  size_t max_waiting_rows = 4096;  ///< rows that wait, per domain
  std::uint64_t max_waiting_bytes = std::uint64_t{256} << 20;  ///< of features, over all domains
  size_t workers = 1;                    ///< threads that compute, shared by all domains
  double cpus = 1.0;                     ///< cores that the process may use, for service_time.h
  std::function<void()> start_worker{};  ///< runs first on each worker; may be empty
};

/// One domain that is served.
struct ServedExpert {
  ExpertSpec spec;
  Scorer scorer;
  /// How experts inside its network were used; null: it has none. Thread-safe.
  std::function<std::vector<model::LayerLoad>()> layer_loads = nullptr;
};

/// v1::Expert: checks, queues, batches across callers, answers. Thread-safe. gRPC's threads only
/// check and hand over; workers compute and finish.
///
/// Errors of Score: proto/orchard/v1/expert.proto; besides, DEADLINE_EXCEEDED and UNAVAILABLE when
/// the caller has gone before computing, INTERNAL for a failed head. Never CANCELLED.
class ExpertService final : public v1::Expert::CallbackService {
 public:
  /// `model` and `version` as in the manifest. `registry` outlives the service.
  ExpertService(std::vector<ServedExpert> experts, const std::string& model,
                const std::string& version, prometheus::Registry& registry,
                ExpertServiceOptions options = {});

  /// After the server's Shutdown: answers what waits and joins the workers.
  ~ExpertService() override;

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::ExpertDescription* response) override;

  /// Rows waiting or in progress.
  size_t in_flight() const { return in_flight_; }

  /// Before a scrape: what is read and not counted.
  void RefreshMetrics();

  /// Longest request that a served expert must accept, for the server's limits.
  size_t MaxRequestBytes() const;

 private:
  class ScoreCall;
  struct Domain;

  Domain* Find(const std::string& domain);
  void AddInFlight(size_t rows);
  size_t RemoveInFlight(size_t rows);  // returns what is left

  const std::vector<ServedExpert> experts_;
  const std::string model_;
  const std::string model_version_;  // "default/1"
  ExpertMetrics metrics_;
  std::atomic<size_t> in_flight_ = 0;
  std::map<std::string, std::unique_ptr<Domain>> domains_;
  std::unique_ptr<internal::ScorePool> pool_;  // Last: its threads use the rest.
};

}  // namespace orchard::experts
