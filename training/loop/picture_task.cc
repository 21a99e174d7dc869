#include "training/loop/picture_task.h"

#include <algorithm>
#include <numeric>

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

namespace {

PictureTask::Options WithAllPictures(PictureTask::Options options, size_t pictures) {
  if (!options.pictures.empty()) return options;
  options.pictures.resize(pictures);
  std::iota(options.pictures.begin(), options.pictures.end(), size_t{0});
  return options;
}

std::vector<Label> LabelsOf(std::span<const size_t> pictures, std::span<const Label> labels) {
  std::vector<Label> of;
  for (const size_t i : pictures) of.push_back(labels[i]);
  return of;
}

}  // namespace

Mixing MixingAt(const v1::Recipe& recipe, size_t epoch) {
  const v1::Mixing& m = recipe.mixing();
  if (epoch + m.off_epochs() >= recipe.optimisation().epochs()) return {};
  Mixing mixing{.cutmix = m.cutmix(), .mixup = m.mixup()};
  if (m.cutmix_alpha() > 0.0) mixing.cutmix_alpha = m.cutmix_alpha();
  if (m.mixup_alpha() > 0.0) mixing.mixup_alpha = m.mixup_alpha();
  return mixing;
}

PictureTask::PictureTask(const PictureStore& store, std::vector<Label> labels,
                         const v1::Recipe& recipe, std::vector<DomainClasses> domains,
                         Options options)
    : store_(store),
      labels_(std::move(labels)),
      recipe_(recipe),
      domains_(std::move(domains)),
      options_(WithAllPictures(std::move(options), labels_.size())),
      batch_(recipe.optimisation().batch()),
      steps_(std::max<size_t>(1, EpochPictures(recipe, options_.pictures.size()) / batch_)),
      sampler_(MakeSampler(recipe, LabelsOf(options_.pictures, labels_), batch_, /*phase=*/40)) {
  for (size_t g = 0; g < domains_.size(); ++g) {
    const v1::Domain& domain = recipe.domains(static_cast<int>(g));
    augmentations_.push_back(AugmentationOf(recipe, domain));
    mirrors_.push_back(MirrorsOf(domain, domains_[g]).value_or(Mirrors{}));
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
                 .seed = Mix(recipe_.seed(), /*a=*/50, epoch),
                 .mirrors = mirrors_,
                 .mixing = MixingAt(recipe_, epoch),
                 .classes = domains_};
  for (size_t& picture : plan.pictures) picture = options_.pictures[picture];
  for (size_t step = 0; step < steps_; ++step) plan.sides.push_back(SideAt(epoch * steps_ + step));
  loader_ =
      std::make_unique<Loader>(store_, labels_, augmentations_, std::move(plan), options_.threads);
}

}  // namespace orchard::training
