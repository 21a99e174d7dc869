#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/log_space.h"
#include "core/tensor.h"
#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "experts/part_digest.h"
#include "experts/scorer.h"

/// \file
/// A small expert without a network: its spec, its arithmetic, and features for it.

namespace orchard::testing {

inline constexpr size_t kSampleWidth = 8;
inline constexpr char kSampleFingerprint[] = "0123456789abcdef";

/// Three kinds of apple, read from pooled features of kSampleWidth floats.
inline experts::ExpertSpec SampleSpec() {
  experts::ExpertSpec spec;
  spec.domain = "apple";
  spec.branch = "non_disease";
  spec.classes = {"gala", "fuji", "boskoop"};
  spec.part_version = "7";
  spec.encoder_fingerprint = kSampleFingerprint;
  spec.kind = core::FeatureKind::kPooled;
  spec.row_shape = {static_cast<std::int64_t>(kSampleWidth)};
  spec.model = "default";
  spec.part_digest = experts::PartDigest(spec.domain, spec.classes, spec.classes, spec.kind);
  return spec;
}

/// Scores a row by its first numbers alone, so that every row has an answer of its own.
inline absl::StatusOr<model::ScoreBatch> SampleScores(std::span<const float> features,
                                                      size_t rows) {
  const experts::ExpertSpec spec = SampleSpec();
  model::ScoreBatch scores;
  scores.rows = rows;
  scores.classes = spec.classes.size();
  for (size_t row = 0; row < rows; ++row) {
    const std::span<const float> logits = features.subspan(row * kSampleWidth, scores.classes);
    for (const double value : core::LogSoftmax(logits, 1.0)) {
      scores.log_probabilities.push_back(static_cast<float>(value));
    }
    scores.energy.push_back(logits[0] + logits[1] + logits[2]);
  }
  return scores;
}

/// Features of kSampleWidth floats a row; the kind is pooled unless another is named.
inline std::shared_ptr<const core::View> SampleView(
    std::vector<float> values, core::FeatureKind kind = core::FeatureKind::kPooled) {
  core::ViewSpec spec = SampleSpec().View();
  spec.kind = kind;
  return std::make_shared<const core::View>(std::make_shared<const core::ViewSpec>(std::move(spec)),
                                            std::move(values));
}

/// `rows` rows of features, none like another, the same in every run; `seed` tells batches apart.
inline std::shared_ptr<const core::View> SampleFeatures(size_t rows, unsigned seed = 0) {
  std::vector<float> values;
  for (size_t i = 0; i < rows * kSampleWidth; ++i) {
    values.push_back(std::sin(static_cast<float>(i + 1) * 0.7F + static_cast<float>(seed) * 1.3F));
  }
  return SampleView(std::move(values));
}

/// One row in which the number at `index` is another one.
inline std::shared_ptr<const core::View> SampleFeaturesWith(size_t index, float value) {
  const auto sample = SampleFeatures(1);
  std::vector<float> values(sample->Floats().begin(), sample->Floats().end());
  values[index] = value;
  return SampleView(std::move(values));
}

/// All rows of `view` in order.
inline experts::SubBatch WholeBatch(std::shared_ptr<const core::View> view) {
  experts::SubBatch batch{std::move(view), {}};
  for (size_t row = 0; row < batch.view->rows(); ++row) batch.rows.push_back(row);
  return batch;
}

}  // namespace orchard::testing
