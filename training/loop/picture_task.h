#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "orchard/training/v1/recipe.pb.h"
#include "training/data/loader.h"
#include "training/data/sampler.h"
#include "training/loop/task.h"

namespace orchard::training {

/// The recipe's way of drawing pictures; `phase` gives each use its own random numbers.
Sampler MakeSampler(const v1::Recipe& recipe, std::span<const Label> labels, size_t batch,
                    std::uint64_t phase);

/// Pictures an epoch, as the recipe says: of `pictures` there are.
size_t EpochPictures(const v1::Recipe& recipe, size_t pictures);

/// The pictures of `epoch`: a resumed run deals the epochs before it once more. `dealt` counts
/// them.
std::vector<size_t> DealTo(Sampler& sampler, size_t& dealt, size_t epoch, size_t pictures);

/// How the batches of `epoch` are mixed, as the recipe says.
Mixing MixingAt(const v1::Recipe& recipe, size_t epoch);

/// Random views of pictures in memory, drawn, cut and coloured as the recipe says. Store and recipe
/// outlive it.
class PictureTask final : public Task {
 public:
  struct Options {
    std::vector<size_t> pictures = {};  ///< of the store, which are drawn; empty: all
    size_t threads = 1;                 ///< that make batches; what they give doesn't depend on it
  };

  /// `labels`: of every picture of the store. `domains`: of the recipe, with their classes; those
  /// that its mirrors name are among them (MirrorsOf).
  PictureTask(const PictureStore& store, std::vector<Label> labels, const v1::Recipe& recipe,
              std::vector<DomainClasses> domains, Options options);

  size_t steps() const override { return steps_; }
  size_t batch() const override { return batch_; }
  void BeginEpoch(size_t epoch) override;
  Batch Next() override { return loader_->Next(); }

 private:
  /// Side of the pictures of a step, counted over the whole run.
  size_t SideAt(size_t step) const;

  const PictureStore& store_;
  std::vector<Label> labels_;
  const v1::Recipe& recipe_;
  std::vector<DomainClasses> domains_;  // [G]
  Options options_;
  std::vector<v1::Augmentation> augmentations_;  // [G]
  std::vector<Mirrors> mirrors_;                 // [G]
  size_t batch_, steps_;
  Sampler sampler_;
  size_t sampled_epochs_ = 0;
  std::unique_ptr<Loader> loader_;  // of the current epoch
};

}  // namespace orchard::training
