#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "core/timer_queue.h"
#include "model/encoder.h"
#include "router/catalogue.h"
#include "router/demand_meter.h"
#include "router/fleet.h"
#include "router/load_model.h"
#include "router/metrics.h"
#include "router/model_registry.h"
#include "router/observers.h"
#include "router/pipeline.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::router {

/// Models on disk, ready to classify: one pipeline, and what each model has of its own. What the
/// router's main and the evaluation share. Thread-safe once made.
class Engine {
 public:
  struct Config {
    /// At least one; a request that names none means the first.
    std::vector<ModelSource> models;
    /// [MODEL/]DOMAIN=TARGET[,TARGET]; a model without any has all experts in this process.
    std::vector<std::string> experts;
    std::chrono::milliseconds dns_interval{5'000};  ///< between two look-ups of a target's name
    size_t expert_subset = 0;  ///< endpoints of a domain to connect to at most; 0: all
    experts::Resolver::LookUp look_up = experts::LookUpHost;  ///< how
    bool hedge = true;  ///< whether late calls to experts are hedged
    std::shared_ptr<grpc::ChannelCredentials> expert_credentials;  ///< null: in the clear
    model::EncoderPrecision encoder_precision = model::EncoderPrecision::kAuto;
    /// `domains` and `start_encode_worker` are the models' own and need not be set.
    Pipeline::Settings pipeline;
    /// Rows that wait for one domain's expert; with one more it is missing at once. Absent: a
    /// quarter of `pipeline.in_flight`, at least 1. Experts in this process have no limit: each
    /// encode worker waits for its own.
    std::optional<size_t> expert_in_flight = std::nullopt;
    /// How long a picture may wait for a domain that is being started; zero: it is missing at once.
    std::chrono::nanoseconds cold_start_wait = std::chrono::nanoseconds::zero();
    /// Hear of each request when it has ended, beside the metrics; they outlive the engine.
    std::vector<Observer*> observers = {};
    /// How the need for replicas of experts is reckoned.
    DemandMeter::Options demand = {};
  };

  /// Loads and warms up. The registry outlives the engine.
  /// Errors name the file: those of model::LoadRouterModel and LoadExperts; INVALID_ARGUMENT for
  /// `experts`, with every fault at once, and for two models of one name.
  static absl::StatusOr<std::unique_ptr<Engine>> Load(const Config& config,
                                                      prometheus::Registry& registry);

  /// Ends what is in progress: calls to experts are cancelled, as nobody waits for them any more.
  ~Engine();

  Pipeline& pipeline() { return *pipeline_; }
  Metrics& metrics() { return metrics_; }
  const ModelRegistry& models() const { return *models_; }

  /// Where experts are from now on: as Config::experts, and every name is looked up at once.
  /// Errors: INVALID_ARGUMENT with every fault at once (or when a model that had some has none),
  /// and nothing changes; FAILED_PRECONDITION when the experts of a model that has some now run in
  /// this process.
  absl::Status ReloadExperts(std::span<const std::string> settings);

  /// Before a scrape: what is read and not counted.
  void RefreshMetrics();

 private:
  explicit Engine(prometheus::Registry& registry) : metrics_(registry) {}

  Metrics metrics_;
  std::optional<ModelRegistry> models_;
  core::TimerQueue timers_;             // Behind the models: its functions use them.
  std::unique_ptr<Pipeline> pipeline_;  // Last: it uses everything above.
};

}  // namespace orchard::router
