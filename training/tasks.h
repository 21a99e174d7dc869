#pragma once

#include <memory>
#include <span>
#include <vector>

#include "training/features.h"
#include "training/loader.h"
#include "training/loop.h"
#include "training/sampler.h"

namespace orchard::training {

/// The recipe's way of drawing pictures; `phase` gives each use its own random numbers.
Sampler MakeSampler(const v1::Recipe& recipe, std::span<const Label> labels, size_t batch,
                    std::uint64_t phase);

/// Heads alone, on the features of a frozen encoder. Arguments outlive it.
class HeadTask final : public Task {
 public:
  struct Options {
    std::uint64_t phase = 0;       ///< makes its random numbers its own
    bool tails_as_linear = false;  ///< MaskedMoeImpl::TailsAsLinear
  };

  HeadTask(MaskedMoeImpl& network, const FeatureTable& table, std::vector<Label> labels,
           const v1::Recipe& recipe, const Options& options);

  size_t steps() const override { return steps_; }
  size_t batch() const override { return batch_; }
  void BeginEpoch(size_t epoch) override;
  double Learn() override;

 private:
  MaskedMoeImpl& network_;
  const FeatureTable& table_;
  std::vector<Label> labels_;
  const v1::Losses& losses_;
  const Options options_;
  size_t batch_, steps_;
  Sampler sampler_;
  size_t sampled_epochs_ = 0;
  std::vector<size_t> order_;
  size_t next_ = 0;
};

/// Everything end to end, on random views of pictures in memory. Arguments outlive it.
class FineTuneTask final : public Task {
 public:
  FineTuneTask(MaskedMoeImpl& network, const PictureStore& store, std::vector<Label> labels,
               const v1::Recipe& recipe, const ShardedEncoder::Options& encoder);

  size_t steps() const override { return steps_; }
  size_t batch() const override { return batch_; }
  void BeginEpoch(size_t epoch) override;
  double Learn() override;

 private:
  /// Side of the pictures of a step, counted over the whole run.
  size_t SideAt(size_t step) const;

  MaskedMoeImpl& network_;
  const PictureStore& store_;
  std::vector<Label> labels_;
  const v1::Recipe& recipe_;
  std::vector<v1::Augmentation> augmentations_;  // [G]
  size_t batch_, steps_;
  Sampler sampler_;
  size_t sampled_epochs_ = 0;
  ShardedEncoder encoder_;
  std::unique_ptr<Loader> loader_;  // of the current epoch
};

}  // namespace orchard::training
