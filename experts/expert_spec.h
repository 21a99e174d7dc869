#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "orchard/v1/model.pb.h"

namespace orchard::experts {

/// What one expert reads and answers. Both ends of the wire make it from their manifest, and Score
/// compares what must agree. Immutable once made.
struct ExpertSpec {
  std::string domain;
  std::string branch;
  std::vector<std::string> classes;  ///< in the order of the answers
  std::string part_version;
  std::string encoder_fingerprint;  ///< of the encoder that it was trained on, 16 hex digits
  std::string model = {};           ///< the manifest's name; empty: any
  std::string part_digest = {};     ///< what the part means (part_digest.h); empty: not compared
  core::FeatureKind kind = core::FeatureKind::kPooled;
  std::vector<std::int64_t> row_shape;  ///< without the batch dimension: [1280] or [320, 7, 7]

  /// Floats a row.
  size_t RowWidth() const;
};

/// The spec of `manifest.experts(index)`. Errors: INVALID_ARGUMENT naming the domain when its
/// encoder does not offer the features, or when it reads pictures, which are not served yet.
absl::StatusOr<ExpertSpec> SpecOf(const v1::ModelManifest& manifest, int index);

/// The specs of all experts, in the model's order. Errors as above.
absl::StatusOr<std::vector<ExpertSpec>> SpecsOf(const v1::ModelManifest& manifest);

}  // namespace orchard::experts
