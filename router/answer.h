#pragma once

#include <span>

#include "absl/status/statusor.h"

#include "orchard/v1/classifier.pb.h"
#include "router/catalogue.h"
#include "router/gather.h"

namespace orchard::router {

/// What the gates say about one picture; borrowed from a model::GateBatch.
struct GateRow {
  std::span<const double> log_branch;  ///< [B]
  double unknown_score = 0.0;
};

/// One answer from what was gathered, without the timings. `top` bounds predictions and concepts.
/// Errors: UNAVAILABLE or DEADLINE_EXCEEDED naming the domains when no expert answered.
absl::StatusOr<v1::ClassifyResponse> Answer(const Catalogue& catalogue, const GateRow& gates,
                                            const Gather& gather, size_t top);

}  // namespace orchard::router
