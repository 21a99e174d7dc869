#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// What the gates say about a micro-batch. Row-major; logarithms are natural; calibrated.
struct GateBatch {
  size_t rows = 0;
  size_t branches = 0;                ///< B
  size_t domains = 0;                 ///< G
  std::vector<double> log_branch;     ///< [rows, B]
  std::vector<double> log_domain;     ///< [rows, G]: log p(branch) + log p(domain | branch)
  std::vector<double> unknown_score;  ///< [rows]; larger is more familiar; 0 without a score

  std::span<const double> LogBranch(size_t row) const {
    return std::span<const double>(log_branch).subspan(row * branches, branches);
  }
  std::span<const double> LogDomain(size_t row) const {
    return std::span<const double>(log_domain).subspan(row * domains, domains);
  }
};

/// What is said where there are no gates: the one domain there is has probability 1.
GateBatch Certain(size_t rows);

/// Gate1, Gate2 and the unknown-domain score, ready to call. Thread-safe.
///
/// Tensors of the part: "branch.…" (Gate1), "domain.<branch>.…" (Gate2 of a branch; none where the
/// branch has one domain), "unknown.…" (statistics of the score, unknown_score.h).
class Gates {
 public:
  /// Errors name the file, as Encoder::Load's; FAILED_PRECONDITION for another encoder's gates.
  static absl::StatusOr<std::unique_ptr<Gates>> Load(const std::filesystem::path& version_dir,
                                                     const v1::ModelManifest& manifest);
  ~Gates();

  /// From the pooled features. Errors: INTERNAL.
  absl::StatusOr<GateBatch> Evaluate(const core::FeatureBatch& features) const;

 private:
  struct Impl;
  explicit Gates(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::model
