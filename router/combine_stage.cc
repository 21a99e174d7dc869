#include "router/combine_stage.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "moe/abstain.h"
#include "moe/combine.h"

namespace orchard::router {

using core::Clock;

Routing RoutingOf(const GateRow& gates, const Gather& gather) {
  const auto best = std::ranges::max_element(gates.log_branch);  // The lower index at a tie.
  Routing routing{.policy = gather.policy().kind,
                  .branch = static_cast<size_t>(best - gates.log_branch.begin()),
                  .branch_probability = std::exp(*best),
                  .domains = {}};
  const std::vector<bool> activated = gather.Activated();
  routing.domains.reserve(activated.size());
  for (size_t domain = 0; domain < activated.size(); ++domain) {
    routing.domains.push_back({.log_probability = gather.log_domain()[domain],
                               .activated = activated[domain],
                               .answered = gather.HasAnswered(domain)});
  }
  return routing;
}

absl::StatusOr<Classification> Combine(const Catalogue& catalogue, const GateRow& gates,
                                       const Gather& gather, size_t top) {
  const std::vector<moe::ExpertAnswer> answers = gather.Answers();
  if (answers.empty()) return gather.WhyNothing(catalogue.domains);
  absl::StatusOr<moe::Combination> combination =
      moe::Combine(catalogue.taxonomy, gather.log_domain(), answers, top);
  // Options and answers were checked where they came in: the caller can't have done this.
  if (!combination.ok()) {
    return absl::InternalError(combination.status().message());
  }
  const moe::Outcome outcome = moe::Judge(catalogue.thresholds, gates.unknown_score,
                                          combination->concepts.front().probability);
  return Classification{.catalogue = &catalogue,
                        .classes = std::move(combination->classes),
                        .concepts = std::move(combination->concepts),
                        .coverage = combination->coverage,
                        .exact = gather.Exact(),
                        .outcome = outcome,
                        .unknown_score = gates.unknown_score,
                        .routing = RoutingOf(gates, gather)};
}

void CombineStage::Run(Gathered gathered) const {
  Request& request = *gathered.request;
  Passage& passage = request.passage;
  passage.Enter(Stage::kCombine, Clock::now());
  absl::StatusOr<Classification> answer =
      request.Cancelled()
          ? absl::CancelledError("the caller has gone")
          : Combine(catalogue_, gathered.gates, gathered.gather, request.options.top);
  const Clock::time_point end = Clock::now();
  passage.End(end);
  metrics_.Stage(Metrics::kQueue, passage.Queued());
  metrics_.Stage(Metrics::kExperts, passage.In(Stage::kExperts));
  metrics_.Stage(Metrics::kCombine, passage.In(Stage::kCombine));
  metrics_.Routed(gathered.gather.Activated(), gathered.gather.log_domain(), end);
  if (answer.ok()) {
    metrics_.Answered(answer->outcome, answer->routing.degraded());
    answer->passage = passage;
  }
  request.Finish(answer);
}

}  // namespace orchard::router
