#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
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
  /// Of what made what it reads, 16 hex digits: the encoder that it was trained on, or how pictures
  /// are framed and resized (model/fingerprint.h).
  std::string encoder_fingerprint;
  std::string model = {};        ///< the manifest's name; empty: any
  std::string part_digest = {};  ///< what the part means (part_digest.h); empty: not compared
  core::FeatureKind kind = core::FeatureKind::kPooled;
  /// Without the batch dimension: [D], [C, H, W], or [side, side, 3] of pictures.
  std::vector<std::int64_t> row_shape;

  /// Numbers a row.
  size_t RowWidth() const;
  /// Bytes a row, as it crosses the wire at the most.
  size_t RowBytes() const;

  /// What the views that it reads are.
  core::ViewSpec View() const;
};

/// Whether `view` is what an expert of `spec` reads. Errors: INVALID_ARGUMENT with both.
absl::Status CheckView(const core::View* view, const ExpertSpec& spec);

/// The spec of `manifest.experts(index)`. Errors: INVALID_ARGUMENT naming the domain when its
/// encoder does not offer the features.
absl::StatusOr<ExpertSpec> SpecOf(const v1::ModelManifest& manifest, int index);

/// The specs of all experts, in the model's order. Errors as above.
absl::StatusOr<std::vector<ExpertSpec>> SpecsOf(const v1::ModelManifest& manifest);

}  // namespace orchard::experts
