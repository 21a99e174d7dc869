#pragma once

#include <cstdint>

#include <torch/types.h>

#include "nets/backbones/fruit_net.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/standardise.h"

namespace orchard::training {

/// A network of the study as a function of what it reads, which of a frozen trunk are its maps.
/// The network is shared with whoever trains it.
class FruitNetInput {
 public:
  FruitNetInput(nets::FruitNet network, const v1::Recipe& recipe);

  /// What `Logits` reads: pixels uint8 [N, side, side, 3], as they are; of a frozen trunk its last
  /// maps, float32 [N, C, h, w] on the host, `batch` pictures at a time.
  torch::Tensor Read(const torch::Tensor& pixels, int64_t batch = 32);

  /// Logits [N, C], on the network's device. The one logit z of a network that tells fruit from
  /// vegetables becomes the pair (z, 0), whose softmax is (σ(z), 1 - σ(z)).
  torch::Tensor Logits(const torch::Tensor& input);

  /// log p [N, C] float32, on the host: in evaluation mode, in FP32. N ≥ 1.
  torch::Tensor LogProbabilities(const torch::Tensor& input, int64_t batch = 64);

 private:
  torch::Device Device() const { return network_->parameters().front().device(); }

  nets::FruitNet network_;
  Standardise standardise_;
  bool frozen_, binary_;
};

}  // namespace orchard::training
