#include "router/render.h"

#include <cmath>
#include <string>

#include "router/options.h"

namespace orchard::router {
namespace {

v1::Outcome ToWire(moe::Outcome outcome) {
  switch (outcome) {
    case moe::Outcome::kOk:
      return v1::OK;
    case moe::Outcome::kLowConfidence:
      return v1::LOW_CONFIDENCE;
    case moe::Outcome::kUnknownDomain:
      return v1::UNKNOWN_DOMAIN;
  }
  return v1::OUTCOME_UNSPECIFIED;
}

void FillPredictions(const Classification& from, v1::ClassifyResponse& to) {
  const Catalogue& catalogue = *from.catalogue;
  for (const moe::ClassProbability& found : from.classes) {
    v1::Prediction& prediction = *to.add_predictions();
    prediction.set_label(catalogue.classes[found.domain][found.label]);
    prediction.set_domain(catalogue.domains[found.domain]);
    prediction.set_probability(found.probability);
    prediction.set_conditional(found.conditional);
  }
  for (const moe::ConceptProbability& found : from.concepts) {
    v1::Concept& shared = *to.add_concepts();
    shared.set_label(catalogue.concepts[found.concept_index]);
    shared.set_probability(found.probability);
  }
}

void FillDomains(const Catalogue& catalogue, const Routing& from, v1::Routing& to) {
  to.mutable_domains()->Reserve(static_cast<int>(from.domains.size()));
  for (size_t domain = 0; domain < from.domains.size(); ++domain) {
    const DomainRoute& route = from.domains[domain];
    v1::DomainRouting& entry = *to.add_domains();
    entry.set_domain(catalogue.domains[domain]);
    entry.set_probability(std::exp(route.log_probability));
    entry.set_activated(route.activated);
    entry.set_answered(route.answered);
    if (route.missing()) {
      entry.set_missing_reason(std::string(experts::Name(*route.missing_reason)));
    }
  }
}

void FillTimings(const Passage& passage, v1::StageTimings& timings) {
  timings.set_decode_ms(core::Milliseconds(passage.In(Stage::kDecode)));
  timings.set_queue_ms(core::Milliseconds(passage.Queued()));
  timings.set_encode_ms(core::Milliseconds(passage.In(Stage::kEncode)));
  timings.set_experts_ms(core::Milliseconds(passage.In(Stage::kExperts)));
  timings.set_combine_ms(core::Milliseconds(passage.In(Stage::kCombine)));
  timings.set_total_ms(core::Milliseconds(passage.Total()));
}

}  // namespace

v1::ClassifyResponse Render(const Classification& classification, bool domains) {
  const Catalogue& catalogue = *classification.catalogue;
  const Routing& routing = classification.routing;
  v1::ClassifyResponse response;
  FillPredictions(classification, response);
  response.mutable_routing()->set_policy(ToWire(routing.policy));
  response.mutable_routing()->set_branch(catalogue.branches[routing.branch]);
  response.mutable_routing()->set_branch_probability(routing.branch_probability);
  if (domains) FillDomains(catalogue, routing, *response.mutable_routing());
  response.set_coverage(classification.coverage);
  response.set_exact(classification.exact);
  response.set_outcome(ToWire(classification.outcome));
  for (size_t domain = 0; domain < routing.domains.size(); ++domain) {
    if (routing.domains[domain].missing()) response.add_missing(catalogue.domains[domain]);
  }
  response.set_degraded(response.missing_size() > 0);
  response.set_model_version(catalogue.version);
  FillTimings(classification.passage, *response.mutable_timings());
  response.set_unknown_score(classification.unknown_score);
  return response;
}

}  // namespace orchard::router
