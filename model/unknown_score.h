#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

#include "model/safetensors.h"
#include "orchard/v1/model.pb.h"

/// \file
/// How familiar a picture looks, from its pooled features. Larger is more familiar. One interface,
/// so that another score can take its place. Source: models.md section 5.

namespace orchard::model {

/// A fitted score. Immutable, thread-safe.
class UnknownScore {
 public:
  virtual ~UnknownScore() = default;

  /// `pooled`: [1280]. `log_domain`: [G].
  virtual double Score(std::span<const float> pooled, std::span<const double> log_domain) const = 0;
};

/// From the manifest's kind and the tensors under "unknown.".
/// Errors: INVALID_ARGUMENT naming the kind and the known ones, or a tensor of a wrong shape.
absl::StatusOr<std::unique_ptr<UnknownScore>> MakeUnknownScore(const v1::UnknownScore& spec,
                                                               const TensorMap& tensors);

/// Fits the statistics of `spec` (in float64) and returns its tensors, named "unknown.…".
/// `pooled` has shape [N, width], row-major; `labels` [N]: the index of each row's class among the
/// classes of all domains. Errors: INVALID_ARGUMENT.
absl::StatusOr<TensorMap> FitUnknownScore(const v1::UnknownScore& spec,
                                          std::span<const float> pooled, size_t width,
                                          std::span<const size_t> labels);

}  // namespace orchard::model
