#pragma once

#include "absl/status/statusor.h"

#include "router/catalogue.h"
#include "router/classification.h"
#include "router/scatter.h"

namespace orchard::router {

/// The last stage: what was gathered → one answer, which ends the request. Thread-safe.
class CombineStage {
 public:
  /// Answers the request on this thread.
  static void Run(Gathered gathered);
};

/// What became of the domains of a picture.
Routing RoutingOf(const GateRow& gates, const Gather& gather);

/// One answer from what was gathered, without the passage. `top` bounds classes and concepts.
/// Errors: UNAVAILABLE or DEADLINE_EXCEEDED naming the domains when no expert answered; INTERNAL
/// when what answered can't be combined.
absl::StatusOr<Classification> Combine(const Catalogue& catalogue, const GateRow& gates,
                                       const Gather& gather, size_t top);

}  // namespace orchard::router
