#pragma once

#include <torch/types.h>

#include "orchard/v1/model.pb.h"

namespace orchard::training {

/// From pictures as a loader gives them to what a network reads: (x / 255 - mean) / std by channel.
class Standardise {
 public:
  Standardise(const orchard::v1::Preprocessing& preprocessing, const torch::Device& device);

  /// uint8 [N, side, side, 3] on `device` → float32 [N, 3, side, side].
  torch::Tensor operator()(const torch::Tensor& pixels) const;

 private:
  torch::Tensor scale_, shift_;  // [3, 1, 1]
};

}  // namespace orchard::training
