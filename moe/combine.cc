#include "moe/combine.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/log_space.h"
#include "core/status.h"

namespace orchard::moe {
namespace {

using core::kMasked;

/// How far above 0 a log-probability of the gates may lie by rounding.
constexpr double kRounding = 1e-3;

/// One class of one expert that answered.
struct Candidate {
  double log_joint;
  size_t domain;
  size_t label;
};

bool Better(const Candidate& a, const Candidate& b) {
  if (a.log_joint != b.log_joint) return a.log_joint > b.log_joint;
  return std::tie(a.domain, a.label) < std::tie(b.domain, b.label);
}

/// No joint may exceed its domain's probability: IsExact relies on it.
double LogJoint(double log_domain, float log_probability) {
  return log_domain + std::min(0.0, static_cast<double>(log_probability));
}

absl::Status CheckGates(const Taxonomy& taxonomy, std::span<const double> log_domain) {
  if (log_domain.size() != taxonomy.domains()) {
    return absl::InvalidArgumentError(absl::StrCat("gate log-probabilities of ", log_domain.size(),
                                                   " domains, the model has ", taxonomy.domains()));
  }
  for (size_t g = 0; g < log_domain.size(); ++g) {
    if (log_domain[g] <= kRounding) continue;  // False for NaN.
    return absl::InvalidArgumentError(absl::StrFormat(
        "gate log-probability of domain %d is %g, must be at most 0", g, log_domain[g]));
  }
  return absl::OkStatus();
}

absl::Status CheckAnswer(const Taxonomy& taxonomy, const ExpertAnswer& answer) {
  if (answer.domain >= taxonomy.domains()) {
    return absl::InvalidArgumentError(
        absl::StrCat("answer of domain ", answer.domain, ", the model has ", taxonomy.domains()));
  }
  if (answer.log_probabilities.size() != taxonomy.classes[answer.domain]) {
    return absl::InvalidArgumentError(
        absl::StrCat("domain ", answer.domain, " answered ", answer.log_probabilities.size(),
                     " log-probabilities, it has ", taxonomy.classes[answer.domain], " classes"));
  }
  return absl::OkStatus();
}

absl::Status Check(const Taxonomy& taxonomy, std::span<const double> log_domain,
                   std::span<const ExpertAnswer> answers) {
  if (answers.empty()) return absl::UnavailableError("no expert answered");
  ORCHARD_RETURN_IF_ERROR(CheckGates(taxonomy, log_domain));
  for (const ExpertAnswer& answer : answers) {
    ORCHARD_RETURN_IF_ERROR(CheckAnswer(taxonomy, answer));
  }
  return absl::OkStatus();
}

absl::Status NothingProbable() {
  return absl::UnavailableError("no expert that answered gave any class a probability");
}

absl::StatusOr<std::vector<Candidate>> Candidates(const Taxonomy& taxonomy,
                                                  std::span<const double> log_domain,
                                                  std::span<const ExpertAnswer> answers) {
  size_t classes = 0;
  std::vector<bool> seen(taxonomy.domains());
  for (const ExpertAnswer& answer : answers) {
    if (seen[answer.domain]) {
      return absl::InvalidArgumentError(
          absl::StrCat("domain ", answer.domain, " answered twice, once is the limit"));
    }
    seen[answer.domain] = true;
    classes += answer.log_probabilities.size();
  }
  std::vector<Candidate> candidates;
  candidates.reserve(classes);
  for (const ExpertAnswer& answer : answers) {
    for (size_t c = 0; c < answer.log_probabilities.size(); ++c) {
      candidates.push_back(
          {LogJoint(log_domain[answer.domain], answer.log_probabilities[c]), answer.domain, c});
    }
  }
  return candidates;
}

/// Sets `relative` to the probability of each concept, [concepts], relative to the best joint, so
/// that what is improbable everywhere (a pinned domain) doesn't underflow before it is compared.
void SumConcepts(const Taxonomy& taxonomy, std::span<const double> log_domain,
                 std::span<const ExpertAnswer> answers, double best_log_joint,
                 std::vector<double>& relative) {
  relative.assign(taxonomy.concepts, 0.0);
  for (const ExpertAnswer& answer : answers) {
    const std::span<const size_t> concept_of = taxonomy.concept_of[answer.domain];
    const double own = log_domain[answer.domain];
    for (size_t c = 0; c < concept_of.size(); ++c) {
      relative[concept_of[c]] +=
          std::exp(LogJoint(own, answer.log_probabilities[c]) - best_log_joint);
    }
  }
}

/// No function, so that sorting inlines it.
constexpr auto kBetterConcept = [](const ConceptProbability& a, const ConceptProbability& b) {
  return a.probability != b.probability ? a.probability > b.probability
                                        : a.concept_index < b.concept_index;
};

/// The best `top` concepts; the answers have `classes` together.
std::vector<ConceptProbability> BestConcepts(const Taxonomy& taxonomy,
                                             std::span<const double> log_domain,
                                             std::span<const ExpertAnswer> answers,
                                             double best_log_joint, size_t classes, size_t top) {
  std::vector<double> relative;
  SumConcepts(taxonomy, log_domain, answers, best_log_joint, relative);
  std::vector<ConceptProbability> concepts;
  concepts.reserve(std::min(classes, relative.size()));
  for (size_t i = 0; i < relative.size(); ++i) {
    if (relative[i] > 0.0) concepts.push_back({i, relative[i]});
  }
  const size_t count = std::min(top, concepts.size());
  std::ranges::partial_sort(concepts, concepts.begin() + static_cast<std::ptrdiff_t>(count),
                            kBetterConcept);
  concepts.resize(count);
  const double unit = std::exp(best_log_joint);
  for (ConceptProbability& entry : concepts) {
    entry.probability = std::min(1.0, entry.probability * unit);
  }
  return concepts;
}

/// log of the gate mass of what answered.
double LogCoverage(std::span<const double> log_domain, std::span<const ExpertAnswer> answers) {
  std::vector<double> answered;
  answered.reserve(answers.size());
  for (const ExpertAnswer& answer : answers) answered.push_back(log_domain[answer.domain]);
  return core::LogSumExp(answered);
}

}  // namespace

double BestLogJoint(std::span<const double> log_domain, std::span<const ExpertAnswer> answers) {
  double best = kMasked;
  for (const ExpertAnswer& answer : answers) {
    for (const float log_probability : answer.log_probabilities) {
      best = std::max(best, LogJoint(log_domain[answer.domain], log_probability));
    }
  }
  return best;
}

absl::StatusOr<Combination> Combine(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                    std::span<const ExpertAnswer> answers, size_t top) {
  ORCHARD_RETURN_IF_ERROR(Check(taxonomy, log_domain, answers));
  if (top == 0) return absl::InvalidArgumentError("top = 0 is out of range: at least 1");
  ORCHARD_ASSIGN_OR_RETURN(std::vector<Candidate> candidates,
                           Candidates(taxonomy, log_domain, answers));
  const size_t count = std::min(top, candidates.size());
  std::ranges::partial_sort(candidates, candidates.begin() + static_cast<std::ptrdiff_t>(count),
                            Better);
  if (candidates.empty() || candidates.front().log_joint == kMasked) {
    return NothingProbable();
  }

  Combination combination;
  combination.best_log_joint = candidates.front().log_joint;
  const double log_coverage = LogCoverage(log_domain, answers);
  combination.coverage = std::min(1.0, std::exp(log_coverage));
  combination.classes.reserve(count);
  for (const Candidate& candidate : std::span(candidates).first(count)) {
    combination.classes.push_back({candidate.domain, candidate.label,
                                   std::min(1.0, std::exp(candidate.log_joint)),
                                   std::min(1.0, std::exp(candidate.log_joint - log_coverage))});
  }
  combination.concepts = BestConcepts(taxonomy, log_domain, answers, combination.best_log_joint,
                                      candidates.size(), top);
  return combination;
}

absl::StatusOr<ConceptProbability> BestConcept(const Taxonomy& taxonomy,
                                               std::span<const double> log_domain,
                                               std::span<const ExpertAnswer> answers,
                                               std::vector<double>& room) {
  ORCHARD_RETURN_IF_ERROR(Check(taxonomy, log_domain, answers));
  const double best_log_joint = BestLogJoint(log_domain, answers);
  if (best_log_joint == kMasked) return NothingProbable();
  SumConcepts(taxonomy, log_domain, answers, best_log_joint, room);
  ConceptProbability best;
  for (const ExpertAnswer& answer : answers) {  // Of the concepts, those that they know.
    for (const size_t concept_index : taxonomy.concept_of[answer.domain]) {
      const ConceptProbability other = {concept_index, room[concept_index]};
      if (kBetterConcept(other, best)) best = other;
    }
  }
  best.probability = std::min(1.0, best.probability * std::exp(best_log_joint));
  return best;
}

}  // namespace orchard::moe
