#include "training/loop/feature_task.h"

#include <algorithm>
#include <utility>

#include "training/loop/picture_task.h"

namespace orchard::training {

nets::EncoderFeatures FeatureTable::Rows(const torch::Tensor& index, bool with_map) const {
  return {.map = with_map ? map.index_select(0, index).to(torch::kFloat32) : torch::Tensor(),
          .pooled = pooled.index_select(0, index)};
}

FeatureTask::FeatureTask(const FeatureTable& table, std::vector<Label> labels,
                         const v1::Recipe& recipe, const Options& options)
    : table_(table),
      labels_(std::move(labels)),
      options_(options),
      steps_(std::max<size_t>(1, EpochPictures(recipe, labels_.size()) / options_.batch)),
      sampler_(MakeSampler(recipe, labels_, options_.batch, options_.phase)) {}

void FeatureTask::BeginEpoch(size_t epoch) {
  order_ = DealTo(sampler_, sampled_epochs_, epoch, steps_ * options_.batch);
  next_ = 0;
}

Batch FeatureTask::Next() {
  std::vector<int64_t> rows;
  Batch batch;
  for (size_t i = 0; i < options_.batch; ++i, ++next_) {
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
