#pragma once

#include <string_view>

#include "absl/status/statusor.h"

#include "bench/fleet/plan.h"

namespace orchard::bench {

/// Reads a plan from JSON: the fields of plan.h by name, durations in the unit that their name ends
/// in (`warm_up_seconds`, `hop_ms`), times as a number of milliseconds or as
/// {"exponential_ms": mean} or {"quantiles_ms": {"0": …, "0.5": …, "1": …}}. What is not given has
/// its default.
/// Errors: INVALID_ARGUMENT naming the field that is unknown, of a wrong kind or out of range.
absl::StatusOr<FleetPlan> ParsePlan(std::string_view json);

}  // namespace orchard::bench
