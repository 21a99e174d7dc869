#include "training/tasks.h"

#include <algorithm>

#include "router/profile.h"
#include "training/recipe.h"

namespace orchard::training {
namespace {

size_t EpochPictures(const v1::Recipe& recipe, size_t pictures) {
  return recipe.data().epoch_pictures() > 0 ? recipe.data().epoch_pictures() : pictures;
}

/// The pictures of `epoch`: a resumed run deals the epochs before it once more.
std::vector<size_t> DealTo(Sampler& sampler, size_t& dealt, size_t epoch, size_t pictures) {
  std::vector<size_t> order;
  for (; dealt <= epoch; ++dealt) order = sampler.NextEpoch(pictures);
  return order;
}

}  // namespace

Sampler MakeSampler(const v1::Recipe& recipe, std::span<const Label> labels, size_t batch,
                    std::uint64_t phase) {
  std::vector<double> factors;
  for (const v1::Domain& domain : recipe.domains()) {
    factors.push_back(domain.sampling_factor() > 0.0 ? domain.sampling_factor() : 1.0);
  }
  return Sampler(labels, {.domain_power = recipe.data().domain_power(),
                          .class_power = recipe.data().class_power(),
                          .domain_factors = std::move(factors),
                          .batch = batch,
                          .seed = Mix(recipe.seed(), phase)});
}

HeadTask::HeadTask(MaskedMoeImpl& network, const FeatureTable& table, std::vector<Label> labels,
                   const v1::Recipe& recipe, const Options& options)
    : network_(network),
      table_(table),
      labels_(std::move(labels)),
      losses_(recipe.losses()),
      options_(options),
      batch_(recipe.optimisation().head_batch() > 0 ? recipe.optimisation().head_batch()
                                                    : recipe.optimisation().batch()),
      steps_(std::max<size_t>(1, EpochPictures(recipe, labels_.size()) / batch_)),
      sampler_(MakeSampler(recipe, labels_, batch_, options.phase)) {}

void HeadTask::BeginEpoch(size_t epoch) {
  order_ = DealTo(sampler_, sampled_epochs_, epoch, steps_ * batch_);
  next_ = 0;
}

double HeadTask::Learn() {
  std::vector<int64_t> rows;
  std::vector<Label> labels;
  for (size_t i = 0; i < batch_; ++i, ++next_) {
    rows.push_back(static_cast<int64_t>(order_[next_]));
    labels.push_back(labels_[order_[next_]]);
  }
  network_.TrainWithFrozenStatistics();
  const nets::EncoderFeatures features =
      table_.Rows(torch::tensor(rows, torch::kLong), /*with_map=*/!options_.tails_as_linear);
  network_.TailsAsLinear(options_.tails_as_linear);
  const torch::Tensor loss = network_.Loss(features, labels, losses_);
  network_.TailsAsLinear(false);
  loss.backward();
  return loss.item<double>();
}

FineTuneTask::FineTuneTask(MaskedMoeImpl& network, const PictureStore& store,
                           std::vector<Label> labels, const v1::Recipe& recipe,
                           const ShardedEncoder::Options& encoder)
    : network_(network),
      store_(store),
      labels_(std::move(labels)),
      recipe_(recipe),
      batch_(recipe.optimisation().batch()),
      steps_(std::max<size_t>(1, EpochPictures(recipe, labels_.size()) / batch_)),
      sampler_(MakeSampler(recipe, labels_, batch_, /*phase=*/40)),
      encoder_(network.encoder, PreprocessingOf(recipe), encoder) {
  for (const v1::Domain& domain : recipe.domains()) {
    augmentations_.push_back(AugmentationOf(recipe, domain));
  }
}

size_t FineTuneTask::SideAt(size_t step) const {
  const auto& sides = recipe_.optimisation().sides();
  if (sides.empty()) return PreprocessingOf(recipe_).crop();
  const size_t total = recipe_.optimisation().epochs() * steps_;
  const size_t part = step * static_cast<size_t>(sides.size()) / total;
  return sides[static_cast<int>(std::min(part, static_cast<size_t>(sides.size()) - 1))];
}

void FineTuneTask::BeginEpoch(size_t epoch) {
  loader_.reset();
  EpochPlan plan{.pictures = DealTo(sampler_, sampled_epochs_, epoch, steps_ * batch_),
                 .sides = {},
                 .batch = batch_,
                 .framing = router::ProfileOf(PreprocessingOf(recipe_)).framing,
                 .seed = Mix(recipe_.seed(), /*a=*/50, epoch)};
  for (size_t step = 0; step < steps_; ++step) plan.sides.push_back(SideAt(epoch * steps_ + step));
  loader_ = std::make_unique<Loader>(store_, labels_, augmentations_, std::move(plan),
                                     /*threads=*/1);
}

double FineTuneTask::Learn() {
  const Batch batch = loader_->Next();
  network_.TrainWithFrozenStatistics();
  const nets::EncoderFeatures features = encoder_.Forward(batch.pixels);
  const torch::Tensor loss = network_.Loss(features, batch.labels, recipe_.losses());
  loss.backward();
  encoder_.Backward(features);
  return loss.item<double>();
}

}  // namespace orchard::training
