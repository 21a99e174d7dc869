#include "training/studies/masked_moe/models.h"

namespace orchard::training {

absl::StatusOr<LossTerms> HeadsModel::Loss(const Batch& batch) {
  if (batch.features.empty() || batch.labels.empty()) {
    return absl::InvalidArgumentError("the heads learn from features with labels");
  }
  const nets::EncoderFeatures features{
      .map = tails_as_linear_ ? torch::Tensor() : batch.features.at(1),
      .pooled = batch.features[0]};
  network_.TailsAsLinear(tails_as_linear_);
  LossTerms terms = network_.Terms(features, batch.labels, losses_);
  network_.TailsAsLinear(false);
  return terms;
}

absl::StatusOr<LossTerms> EndToEndModel::Loss(const Batch& batch) {
  if (!batch.pixels.defined() || batch.labels.empty()) {
    return absl::InvalidArgumentError("a Masked-MoE learns from pictures with labels");
  }
  features_ = encoder_.Forward(batch.pixels);
  return network_.Terms(features_, batch.labels, losses_);
}

}  // namespace orchard::training
