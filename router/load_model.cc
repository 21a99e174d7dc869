#include "router/load_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/status.h"
#include "experts/expert_spec.h"
#include "model/loaded_model.h"
#include "model/manifest.h"
#include "router/profile.h"
#include "server/log.h"

namespace orchard::router {
namespace {

/// The forward pass of a model, which the function shares with nobody.
Encode EncodeWith(std::shared_ptr<const model::RouterModel> model) {
  return [model = std::move(model)](std::span<const std::uint8_t> pixels,
                                    size_t rows) -> absl::StatusOr<Encoded> {
    Encoded encoded{.features = {.rows = rows, .views = {}}, .gates = {}};
    if (model->encoder != nullptr) {
      ORCHARD_ASSIGN_OR_RETURN(encoded.features, model->encoder->Encode(pixels, rows));
    }
    if (model->gates == nullptr) {
      encoded.gates = model::Certain(rows);
      return encoded;
    }
    ORCHARD_ASSIGN_OR_RETURN(encoded.gates, model->gates->Evaluate(encoded.features));
    return encoded;
  };
}

/// What each expert reads; those that look at pictures in the same way share a rendering.
absl::Status AddReads(const v1::ModelManifest& manifest, ServedModel::Parts& parts) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<experts::ExpertSpec> specs,
                           experts::SpecsOf(manifest));
  for (size_t domain = 0; domain < specs.size(); ++domain) {
    parts.reads.push_back(specs[domain].kind);
    parts.picture_view_of.emplace_back();
    if (specs[domain].kind != core::FeatureKind::kImage) continue;
    const auto known =
        std::ranges::find(parts.picture_views, specs[domain].encoder_fingerprint,
                          [](const PictureView& view) { return view.spec->made_by; });
    parts.picture_view_of.back() = static_cast<size_t>(known - parts.picture_views.begin());
    if (known != parts.picture_views.end()) continue;
    const v1::ExpertPart& part = manifest.experts(static_cast<int>(domain));
    parts.picture_views.push_back(
        {.profile = ProfileOf(part.preprocessing()),
         .spec = std::make_shared<const core::ViewSpec>(specs[domain].View())});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExpertFleet>> MakeFleet(const ModelOnDisk& disk,
                                                       const ServingOptions& options,
                                                       ModelMetrics& metrics,
                                                       FleetMetrics& fleet_metrics) {
  if (!AnyTarget(options.targets)) return InProcessFleet(disk.version_dir, disk.manifest);
  return RemoteFleet(disk.manifest, options.targets,
                     {.dns_interval = options.dns_interval,
                      .hedge = options.hedge,
                      .credentials = options.expert_credentials,
                      .subset = options.expert_subset,
                      .look_up = options.look_up,
                      .events_of = [&metrics, &fleet_metrics](size_t domain) {
                        return fleet_metrics.EventsOf(
                            domain, [&metrics, domain] { metrics.FingerprintMismatch(domain); });
                      }});
}

}  // namespace

absl::StatusOr<ModelOnDisk> ReadModel(const ModelSource& source) {
  ORCHARD_ASSIGN_OR_RETURN(v1::ModelManifest manifest, model::ReadManifest(source.version_dir));
  const std::string name = source.name.empty() ? manifest.name() : source.name;
  return ModelOnDisk{
      .version_dir = source.version_dir, .manifest = std::move(manifest), .name = name};
}

absl::StatusOr<std::shared_ptr<ServedModel>> LoadModel(ModelOnDisk disk, ServingOptions options,
                                                       core::TimerQueue& timers,
                                                       prometheus::Registry& registry) {
  const core::Clock::time_point begin = core::Clock::now();
  ORCHARD_ASSIGN_OR_RETURN(model::RouterModel loaded,
                           model::LoadRouterModel(disk.version_dir, disk.manifest,
                                                  options.max_batch, options.encoder_precision));
  const auto weights = std::make_shared<const model::RouterModel>(std::move(loaded));
  ServedModel::Parts parts{
      .manifest = disk.manifest, .encode = EncodeWith(weights), .place = options.place};
  if (disk.manifest.has_encoder()) {
    parts.profile = ProfileOf(disk.manifest.encoder().preprocessing());
  }
  ORCHARD_RETURN_IF_ERROR(AddReads(disk.manifest, parts));
  parts.manifest.set_name(disk.name);
  parts.catalogue = CatalogueOf(parts.manifest);
  const std::vector<std::string>& domains = parts.catalogue.domains;
  parts.metrics = std::make_unique<ModelMetrics>(
      registry, domains,
      ModelMetrics::ModelInfo{.name = disk.name,
                              .version = disk.manifest.version(),
                              .encoder_fingerprint = disk.manifest.encoder().fingerprint()});
  parts.fleet_metrics = std::make_unique<FleetMetrics>(registry, disk.name, domains);
  ORCHARD_ASSIGN_OR_RETURN(parts.fleet,
                           MakeFleet(disk, options, *parts.metrics, *parts.fleet_metrics));
  parts.demand_metrics = std::make_unique<DemandMetrics>(registry, disk.name, domains);
  const ExpertFleet& fleet = *parts.fleet;
  parts.demand = std::make_unique<DemandBoard>(
      disk.name, domains,
      DemandBoard::Options{
          .meter = options.demand,
          .scalable = fleet.remote(),
          .service_seconds = [&fleet](size_t domain) { return fleet.ServiceSeconds(domain); }});
  parts.experts = {.in_flight = fleet.remote() ? options.expert_in_flight : 0,
                   .cold_start_wait = options.cold_start_wait,
                   .demand = &parts.demand->meter()};
  server::Log(server::LogLevel::kInfo, "model_loaded",
              {{"model", parts.catalogue.version},
               {"path", disk.version_dir.string()},
               {"experts", fleet.remote() ? "remote" : "in process"},
               {"encoder_precision",
                weights->encoder ? model::Name(weights->encoder->precision()) : "none"},
               {"ms", core::Milliseconds(core::Clock::now() - begin)}});
  return std::make_shared<ServedModel>(std::move(parts), timers);
}

}  // namespace orchard::router
