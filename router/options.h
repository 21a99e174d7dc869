#pragma once

#include <cstddef>

#include "absl/status/statusor.h"

#include "moe/policy.h"
#include "orchard/v1/classifier.pb.h"
#include "router/catalogue.h"

namespace orchard::router {

inline constexpr size_t kDefaultTop = 5;

/// What a caller may choose, checked and complete. `gate_probabilities` is not here: it is about
/// the size of the wire's answer, which the calls see to.
struct Options {
  moe::Policy policy;
  size_t top = kDefaultTop;  ///< classes, and concepts, in the answer
};

/// Checks and completes. `default_policy` stands for an unspecified one, unless a domain is given:
/// then it is PINNED. An unspecified `top` is kDefaultTop, at most the number of classes.
/// Errors: INVALID_ARGUMENT with every fault at once, each with the value and what is allowed.
absl::StatusOr<Options> ParseOptions(const v1::ClassifyOptions& options, const Catalogue& catalogue,
                                     moe::PolicyKind default_policy);

/// The wire's word for a policy; never POLICY_UNSPECIFIED.
v1::Policy ToWire(moe::PolicyKind kind);

}  // namespace orchard::router
