#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

#include "moe/moe.h"
#include "moe/plan.h"
#include "moe/policy.h"

namespace orchard::moe {

/// One expert's answer for one picture.
struct ExpertAnswer {
  size_t domain = 0;
  /// [C_domain], calibrated, nats; checked where they came in (experts/scorer.h): no NaN, and above
  /// 0 by no more than rounding, which counts as 0.
  std::span<const float> log_probabilities;
};

/// The largest joint log-probability among `answers`; kMasked without any. Never above the domain's
/// own.
double BestLogJoint(std::span<const double> log_domain, std::span<const ExpertAnswer> answers);

struct ClassProbability {
  size_t domain = 0;
  size_t label = 0;          ///< class index inside the domain
  double probability = 0.0;  ///< joint
  double conditional = 0.0;  ///< joint / coverage
};

struct ConceptProbability {
  size_t concept_index = 0;
  double probability = 0.0;  ///< sum of the joints of its classes
};

/// One answer from many.
struct Combination {
  std::vector<ClassProbability> classes;     ///< best first, at most `top`
  std::vector<ConceptProbability> concepts;  ///< best first, at most `top`
  double coverage = 0.0;                     ///< gate mass of the experts that answered
  double best_log_joint = 0;                 ///< of classes[0], nats
};

/// Combines what answered, in any order. `log_domain` has shape [G]; `top` >= 1 bounds both lists;
/// ties go to the lower (domain, class) and concept. `classes` and `concepts` are never empty;
/// concepts without probability are left out. A log-probability above 0 by rounding counts as 0, so
/// that no joint exceeds its domain's probability.
/// Errors: UNAVAILABLE when `answers` is empty or gives no class a probability; INVALID_ARGUMENT
/// for gates that are no probabilities, and naming the domain of a wrong number of classes, that
/// answered twice, or that the model does not have.
absl::StatusOr<Combination> Combine(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                    std::span<const ExpertAnswer> answers, size_t top);

/// The first concept of what Combine() would give. `room` is for the sums: once it has room for
/// [concepts], nothing is allocated. Errors: those of Combine(); `answers` are of different
/// domains.
absl::StatusOr<ConceptProbability> BestConcept(const Taxonomy& taxonomy,
                                               std::span<const double> log_domain,
                                               std::span<const ExpertAnswer> answers,
                                               std::vector<double>& room);

}  // namespace orchard::moe
