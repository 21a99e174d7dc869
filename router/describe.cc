#include "router/describe.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "moe/policy.h"
#include "router/options.h"
#include "vision/sniff.h"

namespace orchard::router {
namespace {

v1::ClassifyDefaults Defaults(const Catalogue& catalogue, const Pipeline::Settings& settings) {
  v1::ClassifyDefaults defaults;
  defaults.set_policy(ToWire(settings.default_policy));
  defaults.set_k(
      static_cast<std::uint32_t>(std::min(moe::kDefaultK, catalogue.taxonomy.domains())));
  defaults.set_threshold_tau(moe::kDefaultThresholdTau);
  defaults.set_nucleus_tau(moe::kDefaultNucleusTau);
  defaults.set_top(static_cast<std::uint32_t>(std::min(kDefaultTop, catalogue.TotalClasses())));
  defaults.set_deadline_seconds(std::chrono::duration<double>(settings.default_deadline).count());
  return defaults;
}

v1::ClassifyLimits Limits(const Pipeline::Settings& settings) {
  v1::ClassifyLimits limits;
  limits.set_max_image_bytes(settings.limits.max_bytes);
  limits.set_max_pixels(settings.limits.max_pixels);
  limits.set_max_side(settings.limits.max_side);
  limits.set_max_decode_bytes(settings.limits.max_decode_bytes);
  for (const vision::Format format : settings.limits.formats) {
    limits.add_formats(std::string(vision::Name(format)));
  }
  return limits;
}

void AddEndpoints(const ExpertFleet& fleet, size_t index, v1::DomainDescription& domain) {
  for (const experts::RemoteExpert::EndpointInfo& known : fleet.Endpoints(index)) {
    v1::EndpointDescription& endpoint = *domain.add_endpoints();
    endpoint.set_address(known.address);
    endpoint.set_state(std::string(Name(known.state)));
    endpoint.set_in_flight(static_cast<std::uint32_t>(known.in_flight));
    endpoint.set_latency_ms(known.latency_seconds * 1e3);
    endpoint.set_part_version(known.part_version);
    endpoint.set_fingerprint(known.encoder_fingerprint);
  }
}

}  // namespace

v1::ModelDescription Describe(const ServedModel& model, const Pipeline::Settings& settings,
                              bool endpoints) {
  const v1::ModelManifest& manifest = model.manifest();
  v1::ModelDescription description;
  description.set_name(manifest.name());
  description.set_version(manifest.version());
  description.set_encoder_fingerprint(manifest.encoder().fingerprint());
  const Catalogue& catalogue = model.catalogue();
  description.mutable_branches()->Add(catalogue.branches.begin(), catalogue.branches.end());
  size_t index = 0;
  for (const v1::ExpertPart& part : manifest.experts()) {
    v1::DomainDescription& domain = *description.add_domains();
    domain.set_name(part.domain());
    domain.set_branch(catalogue.branches[catalogue.taxonomy.branch_of[index]]);
    *domain.mutable_classes() = part.classes();
    domain.set_version(part.file().version());
    domain.set_available(!model.fleet().Unavailable(index));
    if (endpoints) AddEndpoints(model.fleet(), index, domain);
    ++index;
  }
  *description.mutable_concepts() = manifest.concepts();
  *description.mutable_abstention() = manifest.abstention();
  *description.mutable_defaults() = Defaults(model.catalogue(), settings);
  *description.mutable_limits() = Limits(settings);
  *description.mutable_evaluation() = manifest.evaluation();
  return description;
}

void AddNames(const ModelRegistry& models, v1::ModelDescription& description) {
  for (const ModelRegistry::Model& model : models.all()) {
    v1::ModelName& name = *description.add_models();
    name.set_name(model->name());
    name.set_version(model->manifest().version());
    for (const std::string& domain : model->catalogue().domains) name.add_domains(domain);
  }
}

}  // namespace orchard::router
