#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::moe {

enum class PolicyKind : std::uint8_t {
  kExact,
  kHard,
  kTopK,
  kThreshold,
  kNucleus,
  kDense,
  kPinned
};

/// "exact", "hard", "top_k", "threshold", "nucleus", "dense", "pinned".
std::string_view Name(PolicyKind kind);

/// All seven, in the order of PolicyKind: for settings, help texts and tests that walk them.
std::span<const PolicyKind> AllPolicies();

/// A valid choice of experts. Made by MakePolicy, which checks the ranges.
struct Policy {
  PolicyKind kind = PolicyKind::kExact;
  size_t k = 2;       ///< kTopK: experts
  double tau = 0.9;   ///< kThreshold, kNucleus: probability
  size_t pinned = 0;  ///< kPinned: the domain
};

inline constexpr size_t kDefaultK = 2;
inline constexpr double kDefaultThresholdTau = 0.1;
inline constexpr double kDefaultNucleusTau = 0.9;

/// Checks and completes: k in [1, domains], tau in (0, 1) for kThreshold and (0, 1] for kNucleus;
/// absent values take the defaults above (k at most `domains`). kPinned needs `pinned` < `domains`.
/// Errors: INVALID_ARGUMENT with every fault at once, each with the value and the range, also for a
/// value that the policy does not take.
absl::StatusOr<Policy> MakePolicy(PolicyKind kind, std::optional<size_t> k,
                                  std::optional<double> tau, std::optional<size_t> pinned,
                                  size_t domains);

/// Sets `wanted` to the domains that `policy` wants, in descending probability, ties towards the
/// lower index; for kExact all of them, in the order in which they are to be asked; for kDense, for
/// which order means nothing, all by index. Never empty.
/// `log_domain` has shape [G]: log p(branch) + log p(domain | branch), never NaN. Probabilities and
/// their sums are compared with tau with 1e-6 of slack (models.md section 1.3). Allocates nothing
/// once `wanted` has room for [G].
void Wanted(const Policy& policy, std::span<const double> log_domain, std::vector<size_t>& wanted);

}  // namespace orchard::moe
