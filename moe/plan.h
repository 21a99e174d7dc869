#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "moe/moe.h"
#include "moe/policy.h"

namespace orchard::moe {

/// What has become of one domain's expert for one picture.
enum class ExpertState : std::uint8_t {
  kUnasked,  ///< not asked (yet)
  kDown,     ///< not asked because it is known to be unreachable
  kAnswered,
  kFailed,  ///< asked, and failed or was too late
};

/// Sets `wave` to the experts to ask next, possibly none: then the answer is as complete as it
/// gets.
///
/// `log_domain` and `states` have shape [G]; `best_log_joint` is the largest log p(branch) +
/// log p(domain) + log p(class) among the answers so far, kMasked without any. A wanted expert that
/// is down is never asked. Every policy but kExact asks all it wants in one wave; kExact asks the
/// most probable expert that is neither asked nor down, until no unasked one can win:
/// best_log_joint >= its log_domain (models.md section 2.7, the exactness bound). Allocates nothing
/// once `wave` has room for [G].
void NextWave(const Policy& policy, std::span<const double> log_domain,
              std::span<const ExpertState> states, double best_log_joint,
              std::vector<size_t>& wave);

/// Sets `passed` to the experts that NextWave would have asked before or beside those of `wave`,
/// which it just gave, had they not been down: all that the policy wants; for kExact the more
/// probable ones, or, where `wave` is empty, those that could win. So in the end they are, with
/// those that were asked, what the policy chose. Allocates nothing once `passed` has room for [G].
void PassedOver(const Policy& policy, std::span<const double> log_domain,
                std::span<const ExpertState> states, double best_log_joint,
                std::span<const size_t> wave, std::vector<size_t>& passed);

/// The expert that kExact asks although no other can win: one that knows the best concept so far,
/// when that concept's `probability` is under `least` and all unasked experts that know it could
/// together lift it there. The most probable of them; none that is down. So a carrot that fruit and
/// vegetable share is not called uncertain for want of asking.
std::optional<size_t> NextForConcept(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                     std::span<const ExpertState> states, size_t concept_index,
                                     double probability, double least);

/// Domains that `policy` chose and that did not answer, by index ascending: the `missing` of a
/// degraded answer. Empty exactly when the policy was carried out in full.
///
/// Every policy but kExact chooses Wanted(). kExact chooses an expert when its turn finds that it
/// could still win, log_domain > best_log_joint. Answers of less probable experts can't lift
/// best_log_joint to an expert's log_domain (a joint never exceeds its domain's probability), so
/// the final `best_log_joint` decides the same as the one at its turn did. Missing are then: what
/// failed (it was asked, so it was chosen); what is down and could win; and what NextWave would
/// still ask, when time ran out before it. Hence, for kExact: nothing is missing if and only if
/// IsExact holds and no expert failed.
std::vector<size_t> Missing(const Policy& policy, std::span<const double> log_domain,
                            std::span<const ExpertState> states, double best_log_joint);

/// Whether no expert that did not answer could win, be it unasked, down or failed: best_log_joint
/// >= its log_domain, for all. Then the first class is that of kDense, whatever the policy (at
/// equal joints either may come first). False when nothing answered.
bool IsExact(std::span<const double> log_domain, std::span<const ExpertState> states,
             double best_log_joint);

}  // namespace orchard::moe
