#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "nets/mobilenet_v2.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/data/sampler.h"
#include "training/loop/task.h"

namespace orchard::training {

/// The encoder's features of many pictures, in the host's memory.
struct FeatureTable {
  torch::Tensor map;     ///< float16 [N, 320, 7, 7]: half the memory, and no figure needs more;
                         ///< undefined where nothing reads it
  torch::Tensor pooled;  ///< float32 [N, 1280]

  /// Some rows, in float32; without `with_map` the pooled ones alone.
  nets::EncoderFeatures Rows(const torch::Tensor& index, bool with_map = true) const;
};

/// Cached features of a frozen encoder: batches hold {pooled} or {pooled, map} and labels, drawn as
/// the recipe says. What it is given outlives it.
class FeatureTask final : public Task {
 public:
  struct Options {
    size_t batch = 0;         ///< pictures a step, at least 1
    std::uint64_t phase = 0;  ///< makes its random numbers its own
    bool with_map = true;
  };

  FeatureTask(const FeatureTable& table, std::vector<Label> labels, const v1::Recipe& recipe,
              const Options& options);

  size_t steps() const override { return steps_; }
  size_t batch() const override { return options_.batch; }
  void BeginEpoch(size_t epoch) override;
  Batch Next() override;

 private:
  const FeatureTable& table_;
  std::vector<Label> labels_;
  const Options options_;
  size_t steps_;
  Sampler sampler_;
  size_t sampled_epochs_ = 0;
  std::vector<size_t> order_;
  size_t next_ = 0;
};

}  // namespace orchard::training
