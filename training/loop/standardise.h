#pragma once

#include <torch/types.h>

#include "orchard/v1/model.pb.h"

namespace orchard::training {

/// nets::Standardise by what a recipe says, on a device.
class Standardise {
 public:
  Standardise(const orchard::v1::Preprocessing& preprocessing, const torch::Device& device);

  /// uint8 [N, side, side, 3], of any device → float32 [N, 3, side, side] on `device`.
  torch::Tensor operator()(const torch::Tensor& pixels) const;

 private:
  torch::Tensor mean_, std_;  // [3]
};

}  // namespace orchard::training
