#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

#include "moe/moe.h"
#include "moe/plan.h"
#include "moe/policy.h"

namespace orchard::moe {

/// Normalises joint log-probabilities over the experts that answered.
///
/// `log_joint`, shape [C], C = classes of all experts: log p(branch) + log p(domain) +
/// log p(class), nats; the classes of an expert that did not answer are `kMasked`.
/// Returns shape [C]: non-negative, sum 1 within 1e-12, exactly 0 where masked.
/// Errors: INVALID_ARGUMENT naming the index of a NaN or +∞; UNAVAILABLE if all is masked.
/// Source: models.md section 2.4, "Masked softmax".
absl::StatusOr<std::vector<double>> MaskedSoftmax(std::span<const double> log_joint);

/// One expert's answer for one picture.
struct ExpertAnswer {
  size_t domain = 0;
  std::span<const float> log_probabilities;  ///< [C_domain], calibrated, nats
};

/// The largest joint log-probability among `answers`; kMasked without any. Never above the domain's
/// own; ignores NaN (Combine refuses it).
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
/// concepts without probability are left out. A log-probability above 0 by rounding (at most 1e-3)
/// counts as 0, so that no joint exceeds its domain's probability.
/// Errors: UNAVAILABLE when `answers` is empty or gives no class a probability; INVALID_ARGUMENT
/// naming domain and index of a NaN or a value above 0, of a wrong number of classes, of a domain
/// that answered twice or that the model does not have.
absl::StatusOr<Combination> Combine(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                    std::span<const ExpertAnswer> answers, size_t top);

}  // namespace orchard::moe
