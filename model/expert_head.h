#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "moe/specialisation.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// What an expert says about a sub-batch.
struct ScoreBatch {
  size_t rows = 0;
  size_t classes = 0;                    ///< C
  std::vector<float> log_probabilities;  ///< [rows, C]: log p(class | domain), calibrated, nats
  std::vector<float> energy;             ///< [rows]: log Σ exp(logit) before the temperature, nats

  std::span<const float> Row(size_t row) const {
    return std::span<const float>(log_probabilities).subspan(row * classes, classes);
  }
};

/// How one layer of experts inside a network was used.
struct LayerLoad {
  size_t pictures = 0;
  moe::LayerSums sums;

  /// [E]: of all picks; 0 before the first.
  std::vector<double> Shares() const;
};

/// One domain's expert, ready to call. Thread-safe.
class ExpertHead {
 public:
  /// Errors name the file, as Encoder::Load's; FAILED_PRECONDITION for another encoder's expert.
  static absl::StatusOr<std::unique_ptr<ExpertHead>> Load(const std::filesystem::path& version_dir,
                                                          const v1::ModelManifest& manifest,
                                                          const std::string& domain);
  ~ExpertHead();

  /// `features`: [rows, row width], row-major, of `feature_kind()`; pictures as numbers from 0 to
  /// 255, [side, side, 3]. A row's answer doesn't depend on the other rows: bit by bit, or, of a
  /// network that is served eagerly, but for rounding. Errors: INVALID_ARGUMENT for a wrong size;
  /// INTERNAL.
  absl::StatusOr<ScoreBatch> Score(std::span<const float> features, size_t rows) const;

  const v1::ExpertPart& part() const;
  core::FeatureKind feature_kind() const;
  size_t row_width() const;  ///< floats

  /// How experts inside the network were used since StartCounting(), layer by layer; empty for a
  /// network that routes nothing.
  std::vector<LayerLoad> LayerLoads() const;
  /// Whether its network is one whose routing is counted.
  bool RoutesInside() const;
  void StartCounting();

 private:
  struct Impl;
  explicit ExpertHead(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::model
