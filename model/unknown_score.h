#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

#include "model/safetensors.h"
#include "orchard/v1/model.pb.h"

/// \file
/// How familiar a picture looks, from its pooled features. Larger is more familiar. One interface,
/// so that another score can take its place. Source: models.md section 5.
///
/// Kinds:
///   "mahalanobis"           -min_c |w - m_c|²
///   "relative_mahalanobis"  the same, plus w's squared distance from the background
/// where w = W (f(v) - μ): f as the arguments say, PCA to `rank` dimensions, whitened with the
/// pooled within-class covariance and turned until the covariance of all rows is diagonal as well,
/// so that the background costs `rank` multiply-adds: Σ b_i w_i².
///
/// Arguments: rank (128), shrink_percent (10; of both covariances towards a multiple of 1),
/// root (0; 1 takes the square root of each feature), normalise (0; 1 then divides by the
/// Euclidean length).
///
/// Tensors: unknown.mean [D] μ, unknown.whiten [rank, D] W (FP16), unknown.classes [C, rank] the
/// m_c, and for the relative kind unknown.background [rank] b.

namespace orchard::model {

/// A fitted score. Immutable, thread-safe.
class UnknownScore {
 public:
  virtual ~UnknownScore() = default;

  /// `pooled`: [1280]. `log_domain`: [G]. The same bits for the same row, whatever surrounds it.
  virtual double Score(std::span<const float> pooled, std::span<const double> log_domain) const = 0;
};

/// From the manifest's kind and the tensors under "unknown.", for features of `width`. Errors:
/// INVALID_ARGUMENT naming `file` and the kind and the known ones, an argument that it does not
/// take or its range, or a tensor that is missing, additional or of a wrong shape.
absl::StatusOr<std::unique_ptr<UnknownScore>> MakeUnknownScore(const v1::UnknownScore& spec,
                                                               const TensorMap& tensors,
                                                               size_t width,
                                                               const std::string& file);

/// Fits the statistics of `spec` (in float64) and returns its tensors, named "unknown.…".
/// `pooled` has shape [N, width], row-major, finite; `labels` [N]: the index of each row's class
/// among the classes of all domains, each with a row at least. Errors: INVALID_ARGUMENT.
absl::StatusOr<TensorMap> FitUnknownScore(const v1::UnknownScore& spec,
                                          std::span<const float> pooled, size_t width,
                                          std::span<const size_t> labels);

}  // namespace orchard::model
