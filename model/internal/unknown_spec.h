#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/v1/model.pb.h"

namespace orchard::model::internal {

/// A v1::UnknownScore, understood.
struct UnknownSpec {
  bool relative = false;
  int64_t rank = 128;
  double shrink = 0.1;  ///< share of the multiple of 1 in a covariance, [0, 1]
  bool root = false;
  bool normalise = false;
};

/// Errors: INVALID_ARGUMENT naming the kind and the known ones, or an argument and its range.
absl::StatusOr<UnknownSpec> ParseUnknownSpec(const v1::UnknownScore& spec);

/// f(v) of unknown_score.h, in place.
void Transform(const UnknownSpec& spec, std::vector<float>& row);

}  // namespace orchard::model::internal
