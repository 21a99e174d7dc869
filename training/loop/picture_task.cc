#include "training/loop/picture_task.h"

#include <algorithm>

#include "router/profile.h"
#include "training/recipe.h"

namespace orchard::training {
size_t EpochPictures(const v1::Recipe& recipe, size_t pictures) {
  return recipe.data().epoch_pictures() > 0 ? recipe.data().epoch_pictures() : pictures;
}

std::vector<size_t> DealTo(Sampler& sampler, size_t& dealt, size_t epoch, size_t pictures) {
  std::vector<size_t> order;
  for (; dealt <= epoch; ++dealt) order = sampler.NextEpoch(pictures);
  return order;
}

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

PictureTask::PictureTask(const PictureStore& store, std::vector<Label> labels,
                         const v1::Recipe& recipe)
    : store_(store),
      labels_(std::move(labels)),
      recipe_(recipe),
      batch_(recipe.optimisation().batch()),
      steps_(std::max<size_t>(1, EpochPictures(recipe, labels_.size()) / batch_)),
      sampler_(MakeSampler(recipe, labels_, batch_, /*phase=*/40)) {
  for (const v1::Domain& domain : recipe.domains()) {
    augmentations_.push_back(AugmentationOf(recipe, domain));
  }
}

size_t PictureTask::SideAt(size_t step) const {
  const auto& sides = recipe_.optimisation().sides();
  if (sides.empty()) return PreprocessingOf(recipe_).crop();
  const size_t total = recipe_.optimisation().epochs() * steps_;
  const size_t part = step * static_cast<size_t>(sides.size()) / total;
  return sides[static_cast<int>(std::min(part, static_cast<size_t>(sides.size()) - 1))];
}

void PictureTask::BeginEpoch(size_t epoch) {
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

}  // namespace orchard::training
