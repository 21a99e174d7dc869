#include "router/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/status.h"

namespace orchard::router {
namespace {

/// The manifests, and what is wrong with the settings: the cheap faults first, for a misspelt
/// domain should not cost the time to load weights.
absl::StatusOr<std::vector<ModelOnDisk>> ReadModels(const std::vector<ModelSource>& sources) {
  if (sources.empty()) return absl::InvalidArgumentError("no model is named");
  std::vector<ModelOnDisk> models;
  for (const ModelSource& source : sources) {
    ORCHARD_ASSIGN_OR_RETURN(ModelOnDisk read, ReadModel(source));
    const auto twin = std::ranges::find(models, read.name, &ModelOnDisk::name);
    if (twin != models.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two models are called \"", read.name, "\": ", twin->version_dir.string(), " and ",
          read.version_dir.string(), "; give one another name, --model NAME=DIR"));
    }
    models.push_back(std::move(read));
  }
  return models;
}

ServingOptions OptionsOf(const Engine::Config& config, size_t place, ExpertTargets targets) {
  return {
      .place = place,
      .targets = std::move(targets),
      .dns_interval = config.dns_interval,
      .expert_subset = config.expert_subset,
      .look_up = config.look_up,
      .hedge = config.hedge,
      .expert_credentials = config.expert_credentials,
      .encoder_precision = config.encoder_precision,
      .max_batch = config.pipeline.max_batch,
      .expert_in_flight =
          config.expert_in_flight.value_or(std::max<size_t>(1, config.pipeline.in_flight / 4)),
      .cold_start_wait = std::chrono::duration_cast<core::Clock::duration>(config.cold_start_wait),
      .demand = config.demand};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Load(const Config& config,
                                                     prometheus::Registry& registry) {
  ORCHARD_ASSIGN_OR_RETURN(std::vector<ModelOnDisk> read, ReadModels(config.models));
  std::vector<NamedDomains> names;
  for (const ModelOnDisk& model : read) {
    names.push_back({.model = model.name, .domains = CatalogueOf(model.manifest).domains});
  }
  ORCHARD_ASSIGN_OR_RETURN(std::vector<ExpertTargets> targets,
                           ParseExpertTargets(config.experts, names));
  std::unique_ptr<Engine> engine(new Engine(registry));  // Its constructor is private.
  std::vector<ModelRegistry::Model> models;
  Pipeline::Settings settings = config.pipeline;
  for (size_t place = 0; place < read.size(); ++place) {
    ORCHARD_ASSIGN_OR_RETURN(
        ModelRegistry::Model model,
        LoadModel(std::move(read[place]), OptionsOf(config, place, std::move(targets[place])),
                  engine->timers_, registry));
    settings.domains.push_back(model->catalogue().domains.size());
    models.push_back(std::move(model));
  }
  engine->models_.emplace(std::move(models));
  settings.start_encode_worker = model::PrepareInferenceThread;
  engine->pipeline_ = std::make_unique<Pipeline>(std::move(settings), engine->timers_,
                                                 engine->metrics_, config.observers);
  return engine;
}

Engine::~Engine() {
  // Before the pipeline goes: it would wait for an expert that never answers until the deadline.
  if (!models_) return;
  for (const ModelRegistry::Model& model : models_->all()) model->fleet().Stop();
}

absl::Status Engine::ReloadExperts(std::span<const std::string> settings) {
  std::vector<NamedDomains> names;
  for (const ModelRegistry::Model& model : models_->all()) {
    names.push_back({.model = model->name(), .domains = model->catalogue().domains});
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<ExpertTargets> targets,
                           ParseExpertTargets(settings, names));
  // A fault of one model changes nothing of the others.
  std::vector<size_t> to_reload;
  for (size_t place = 0; place < targets.size(); ++place) {
    const bool remote = models_->all()[place]->fleet().remote();
    const bool one = targets.size() == 1;
    if (!one && !remote && !AnyTarget(targets[place])) continue;
    ORCHARD_RETURN_IF_ERROR(models_->all()[place]->fleet().CheckReload(targets[place]));
    to_reload.push_back(place);
  }
  for (const size_t place : to_reload) {
    ORCHARD_RETURN_IF_ERROR(models_->all()[place]->fleet().Reload(targets[place]));
  }
  return absl::OkStatus();
}

void Engine::RefreshMetrics() {
  metrics_.Refresh(pipeline_->Load());
  const core::Clock::time_point now = core::Clock::now();
  for (const ModelRegistry::Model& model : models_->all()) model->RefreshMetrics(now);
}

}  // namespace orchard::router
