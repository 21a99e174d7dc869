#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "model/loaded_model.h"
#include "router/catalogue.h"
#include "router/demand_board.h"
#include "router/demand_meter.h"
#include "router/demand_metrics.h"
#include "router/fleet.h"
#include "router/fleet_metrics.h"
#include "router/metrics.h"
#include "router/observers.h"
#include "router/pipeline.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::router {

/// A model on disk, ready to classify: weights, experts, metrics and the pipeline over them. What
/// the router's main and the evaluation share. Thread-safe once made.
class Engine {
 public:
  struct Config {
    std::filesystem::path version_dir;
    /// [MODEL/]DOMAIN=TARGET[,TARGET]; none: all experts in this process.
    std::vector<std::string> experts;
    std::chrono::milliseconds dns_interval{5'000};  ///< between two look-ups of a target's name
    size_t expert_subset = 0;  ///< endpoints of a domain to connect to at most; 0: all
    experts::Resolver::LookUp look_up = experts::LookUpHost;  ///< how
    bool hedge = true;  ///< whether late calls to experts are hedged
    std::shared_ptr<grpc::ChannelCredentials> expert_credentials;  ///< null: in the clear
    model::EncoderPrecision encoder_precision = model::EncoderPrecision::kAuto;
    /// `profile` and `start_encode_worker` are the model's own and need not be set.
    Pipeline::Settings pipeline;
    /// Rows that wait for one domain's expert; with one more it is missing at once. Absent: a
    /// quarter of `pipeline.in_flight`, at least 1. Experts in this process have no limit: each
    /// encode worker waits for its own.
    std::optional<size_t> expert_in_flight = std::nullopt;
    /// Hear of each request when it has ended, beside the metrics; they outlive the engine.
    std::vector<Observer*> observers = {};
    /// How the need for replicas of experts is reckoned.
    DemandMeter::Options demand = {};
  };

  /// Loads and warms up. The registry outlives the engine.
  /// Errors name the file: those of model::LoadRouterModel and LoadExperts; INVALID_ARGUMENT for
  /// `experts`, with every fault at once.
  static absl::StatusOr<std::unique_ptr<Engine>> Load(const Config& config,
                                                      prometheus::Registry& registry);

  /// Ends what is in progress: calls to experts are cancelled, as nobody waits for them any more.
  ~Engine();

  Pipeline& pipeline() { return *pipeline_; }
  Metrics& metrics() { return *metrics_; }
  ExpertFleet& fleet() { return *fleet_; }
  const ExpertFleet& fleet() const { return *fleet_; }
  DemandBoard& demand() { return *demand_; }
  DemandMetrics& demand_metrics() { return *demand_metrics_; }

  /// Where experts are from now on: as Config::experts, and every name is looked up at once.
  /// Errors: INVALID_ARGUMENT with every fault at once (or when there is none), and nothing
  /// changes; FAILED_PRECONDITION when the experts run in this process.
  absl::Status ReloadExperts(std::span<const std::string> settings);

  /// Before a scrape: what is read and not counted.
  void RefreshMetrics();

  const model::Encoder& encoder() const { return *model_.encoder; }
  const Catalogue& catalogue() const { return catalogue_; }
  const v1::ModelManifest& manifest() const { return model_.manifest; }

 private:
  explicit Engine(model::RouterModel model);

  const model::RouterModel model_;
  const Catalogue catalogue_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<FleetMetrics> fleet_metrics_;  // Before the fleet, which counts in it.
  std::unique_ptr<DemandMetrics> demand_metrics_;
  std::unique_ptr<ExpertFleet> fleet_;
  std::unique_ptr<DemandBoard> demand_;  // Reads the fleet.
  std::unique_ptr<Pipeline> pipeline_;   // Last: it uses everything above.
};

}  // namespace orchard::router
