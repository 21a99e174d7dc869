#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "model/loaded_model.h"
#include "router/catalogue.h"
#include "router/fleet.h"
#include "router/metrics.h"
#include "router/pipeline.h"

namespace orchard::router {

/// A model on disk, ready to classify: weights, experts, metrics and the pipeline over them. What
/// the router's main and the evaluation share. Thread-safe once made.
class Engine {
 public:
  struct Config {
    std::filesystem::path version_dir;
    /// DOMAIN=ADDRESS[,ADDRESS]; none: all experts in this process.
    std::vector<std::string> experts;
    model::EncoderPrecision encoder_precision = model::EncoderPrecision::kAuto;
    /// `profile` and `start_encode_worker` are the model's own and need not be set.
    Pipeline::Settings pipeline;
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
  const ExpertFleet& fleet() const { return *fleet_; }

  /// Ends the calls to experts that are in progress, and refuses further ones.
  void StopExperts() { fleet_->Stop(); }

  const model::Encoder& encoder() const { return *model_.encoder; }
  const Catalogue& catalogue() const { return catalogue_; }
  const v1::ModelManifest& manifest() const { return model_.manifest; }

 private:
  explicit Engine(model::RouterModel model);

  const model::RouterModel model_;
  const Catalogue catalogue_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<ExpertFleet> fleet_;
  std::unique_ptr<Pipeline> pipeline_;  // Last: it uses everything above.
};

}  // namespace orchard::router
