#include "router/answer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/status.h"
#include "moe/abstain.h"
#include "moe/combine.h"
#include "router/options.h"

namespace orchard::router {
namespace {

v1::Outcome OutcomeOf(moe::Outcome outcome) {
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

void FillPredictions(const Catalogue& catalogue, const moe::Combination& combination,
                     v1::ClassifyResponse& response) {
  for (const moe::ClassProbability& found : combination.classes) {
    v1::Prediction& prediction = *response.add_predictions();
    prediction.set_label(catalogue.classes[found.domain][found.label]);
    prediction.set_domain(catalogue.domains[found.domain]);
    prediction.set_probability(found.probability);
    prediction.set_conditional(found.conditional);
  }
  for (const moe::ConceptProbability& found : combination.concepts) {
    v1::Concept& shared = *response.add_concepts();
    shared.set_label(catalogue.concepts[found.concept_index]);
    shared.set_probability(found.probability);
  }
}

void FillRouting(const Catalogue& catalogue, const GateRow& gates, const Gather& gather,
                 v1::Routing& routing) {
  routing.set_policy(ToWire(gather.policy().kind));
  const auto best = std::ranges::max_element(gates.log_branch);  // The lower index at a tie.
  routing.set_branch(catalogue.branches[static_cast<size_t>(best - gates.log_branch.begin())]);
  routing.set_branch_probability(std::exp(*best));
  const std::vector<bool> activated = gather.Activated();
  for (size_t domain = 0; domain < catalogue.domains.size(); ++domain) {
    v1::DomainRouting& entry = *routing.add_domains();
    entry.set_domain(catalogue.domains[domain]);
    entry.set_probability(std::exp(gather.log_domain()[domain]));
    entry.set_activated(activated[domain]);
    entry.set_answered(gather.HasAnswered(domain));
  }
}

}  // namespace

absl::StatusOr<v1::ClassifyResponse> Answer(const Catalogue& catalogue, const GateRow& gates,
                                            const Gather& gather, size_t top) {
  const std::vector<moe::ExpertAnswer> answers = gather.Answers();
  if (answers.empty()) return gather.WhyNothing(catalogue.domains);
  ORCHARD_ASSIGN_OR_RETURN(const moe::Combination combination,
                           moe::Combine(catalogue.taxonomy, gather.log_domain(), answers, top));
  v1::ClassifyResponse response;
  FillPredictions(catalogue, combination, response);
  FillRouting(catalogue, gates, gather, *response.mutable_routing());
  response.set_coverage(combination.coverage);
  response.set_exact(gather.Exact());
  response.set_outcome(OutcomeOf(moe::Judge(catalogue.thresholds, gates.unknown_score,
                                            combination.concepts.front().probability)));
  for (const size_t domain : gather.Missing()) response.add_missing(catalogue.domains[domain]);
  response.set_degraded(response.missing_size() > 0);
  response.set_model_version(catalogue.version);
  response.set_unknown_score(gates.unknown_score);
  return response;
}

}  // namespace orchard::router
