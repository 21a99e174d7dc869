#include "training/studies/masked_moe/models.h"

#include <algorithm>

#include "training/loop/picture_task.h"

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

FeatureTask::FeatureTask(const FeatureTable& table, std::vector<Label> labels,
                         const v1::Recipe& recipe, const Options& options)
    : table_(table),
      labels_(std::move(labels)),
      options_(options),
      batch_(recipe.masked_moe().head_batch() > 0 ? recipe.masked_moe().head_batch()
                                                  : recipe.optimisation().batch()),
      steps_(std::max<size_t>(1, EpochPictures(recipe, labels_.size()) / batch_)),
      sampler_(MakeSampler(recipe, labels_, batch_, options.phase)) {}

void FeatureTask::BeginEpoch(size_t epoch) {
  order_ = DealTo(sampler_, sampled_epochs_, epoch, steps_ * batch_);
  next_ = 0;
}

Batch FeatureTask::Next() {
  std::vector<int64_t> rows;
  Batch batch;
  for (size_t i = 0; i < batch_; ++i, ++next_) {
    rows.push_back(static_cast<int64_t>(order_[next_]));
    batch.labels.push_back(labels_[order_[next_]]);
  }
  const nets::EncoderFeatures features =
      table_.Rows(torch::tensor(rows, torch::kLong), options_.with_map);
  batch.features.push_back(features.pooled);
  if (options_.with_map) batch.features.push_back(features.map);
  return batch;
}

}  // namespace orchard::training
