#include "router/engine.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/clock.h"
#include "core/status.h"
#include "model/encoder.h"
#include "model/manifest.h"
#include "router/profile.h"

namespace orchard::router {
namespace {

/// The forward pass of a model, which outlives the function.
Encode EncodeWith(const model::RouterModel& model) {
  return [&model](std::span<const std::uint8_t> pixels, size_t rows) -> absl::StatusOr<Encoded> {
    Encoded encoded;
    ORCHARD_ASSIGN_OR_RETURN(encoded.features, model.encoder->Encode(pixels, rows));
    ORCHARD_ASSIGN_OR_RETURN(encoded.gates, model.gates->Evaluate(encoded.features));
    return encoded;
  };
}

absl::StatusOr<std::unique_ptr<ExpertFleet>> MakeFleet(const Engine::Config& config,
                                                       const v1::ModelManifest& manifest,
                                                       const Catalogue& catalogue, Metrics& metrics,
                                                       FleetMetrics& fleet_metrics) {
  if (config.experts.empty()) return InProcessFleet(config.version_dir, manifest);
  ORCHARD_ASSIGN_OR_RETURN(const ExpertTargets targets,
                           ParseExpertTargets(config.experts, manifest.name(), catalogue.domains));
  return RemoteFleet(manifest, targets,
                     {.dns_interval = config.dns_interval,
                      .hedge = config.hedge,
                      .credentials = config.expert_credentials,
                      .subset = config.expert_subset,
                      .look_up = config.look_up,
                      .events_of = [&metrics, &fleet_metrics](size_t domain) {
                        return fleet_metrics.EventsOf(
                            domain, [&metrics, domain] { metrics.FingerprintMismatch(domain); });
                      }});
}

}  // namespace

Engine::Engine(model::RouterModel model)
    : model_(std::move(model)), catalogue_(CatalogueOf(model_.manifest)) {}

Engine::~Engine() {
  // Before the pipeline goes: it would wait for an expert that never answers until the deadline.
  if (fleet_) fleet_->Stop();
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Load(const Config& config,
                                                     prometheus::Registry& registry) {
  // The cheap faults first: a misspelt domain should not cost the time to load the weights.
  ORCHARD_ASSIGN_OR_RETURN(v1::ModelManifest read, model::ReadManifest(config.version_dir));
  ORCHARD_RETURN_IF_ERROR(
      ParseExpertTargets(config.experts, read.name(), CatalogueOf(read).domains).status());
  // It is read once: all parts are of one model, whatever becomes of the folder meanwhile.
  ORCHARD_ASSIGN_OR_RETURN(
      model::RouterModel model,
      model::LoadRouterModel(config.version_dir, std::move(read), config.pipeline.max_batch,
                             config.encoder_precision));
  std::unique_ptr<Engine> engine(new Engine(std::move(model)));  // Its constructor is private.
  const v1::ModelManifest& manifest = engine->manifest();
  const v1::EncoderPart& encoder = manifest.encoder();
  engine->metrics_ =
      std::make_unique<Metrics>(registry, engine->catalogue_.domains,
                                Metrics::ModelInfo{.name = manifest.name(),
                                                   .version = manifest.version(),
                                                   .encoder_fingerprint = encoder.fingerprint()});
  engine->fleet_metrics_ =
      std::make_unique<FleetMetrics>(registry, manifest.name(), engine->catalogue_.domains);
  ORCHARD_ASSIGN_OR_RETURN(engine->fleet_, MakeFleet(config, engine->manifest(), engine->catalogue_,
                                                     *engine->metrics_, *engine->fleet_metrics_));
  engine->demand_metrics_ =
      std::make_unique<DemandMetrics>(registry, manifest.name(), engine->catalogue_.domains);
  const ExpertFleet& fleet = *engine->fleet_;
  engine->demand_ = std::make_unique<DemandBoard>(
      manifest.name(), engine->catalogue_.domains,
      DemandBoard::Options{
          .meter = config.demand,
          .scalable = fleet.remote(),
          .service_seconds = [&fleet](size_t domain) { return fleet.ServiceSeconds(domain); }});
  Pipeline::Settings settings = config.pipeline;
  settings.demand = &engine->demand_->meter();
  settings.profile = ProfileOf(encoder.preprocessing());
  settings.start_encode_worker = model::PrepareInferenceThread;
  if (!config.experts.empty()) {
    settings.expert_in_flight =
        config.expert_in_flight.value_or(std::max<size_t>(1, settings.in_flight / 4));
  }
  engine->pipeline_ = std::make_unique<Pipeline>(std::move(settings), engine->catalogue_,
                                                 EncodeWith(engine->model_), *engine->fleet_,
                                                 *engine->metrics_, config.observers);
  return engine;
}

absl::Status Engine::ReloadExperts(std::span<const std::string> settings) {
  ORCHARD_ASSIGN_OR_RETURN(const ExpertTargets targets,
                           ParseExpertTargets(settings, manifest().name(), catalogue_.domains));
  return fleet_->Reload(targets);
}

void Engine::RefreshMetrics() {
  metrics_->Refresh(pipeline_->Load(), core::Clock::now());
  fleet_metrics_->Refresh(*fleet_);
  demand_metrics_->Refresh(demand_->Own());
}

}  // namespace orchard::router
