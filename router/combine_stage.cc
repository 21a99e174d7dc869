#include "router/combine_stage.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "core/without_throwing.h"
#include "moe/abstain.h"
#include "moe/combine.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

namespace {

/// A mistake of ours: the log is told all of it, and the caller what is returned.
absl::Status Report(const Request& request, const absl::Status& status) {
  server::LogLimited(server::LogLevel::kError, "combine_failed", /*kind=*/"",
                     {{"request_id", request.id},
                      {"trace_id", core::TraceId(request.trace)},
                      {"reason", std::string(status.message())}});
  return absl::InternalError(absl::StrCat(
      "the answer can't be combined; the router's log says why, request id ", request.id));
}

}  // namespace

Routing RoutingOf(const GateRow& gates, const Gather& gather) {
  const auto best = std::ranges::max_element(gates.log_branch);  // The lower index at a tie.
  Routing routing{.policy = gather.policy().kind,
                  .branch = static_cast<size_t>(best - gates.log_branch.begin()),
                  .branch_probability = std::exp(*best),
                  .domains = {}};
  const std::vector<bool> activated = gather.Activated();
  routing.domains.reserve(activated.size());
  for (size_t domain = 0; domain < activated.size(); ++domain) {
    DomainRoute& route = routing.domains.emplace_back();
    route.log_probability = gather.log_domain()[domain];
    route.activated = activated[domain];
    route.answered = gather.HasAnswered(domain);
    if (route.activated && !route.answered) route.missing_reason = gather.WhyMissing(domain);
  }
  return routing;
}

absl::StatusOr<Classification> Combine(const Catalogue& catalogue, const GateRow& gates,
                                       const Gather& gather, size_t top) {
  const std::span<const moe::ExpertAnswer> answers = gather.Answers();
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

void CombineStage::Run(Gathered gathered) {
  Request& request = *gathered.request;
  request.passage.Enter(Stage::kCombine, Clock::now());
  absl::StatusOr<Classification> answer =
      core::WithoutThrowing("combining", [&]() -> absl::StatusOr<Classification> {
        if (request.Cancelled()) return absl::CancelledError("the caller has gone");
        return Combine(request.model->catalogue(), gathered.gates, gathered.gather,
                       request.options.top);
      });
  request.passage.End(Clock::now());
  if (answer.ok()) {
    answer->passage = request.passage;
  } else {
    request.routing = RoutingOf(gathered.gates, gathered.gather);
    if (absl::IsInternal(answer.status())) answer = Report(request, answer.status());
  }
  request.Finish(answer);
}

}  // namespace orchard::router
