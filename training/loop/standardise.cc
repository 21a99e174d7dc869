#include "training/loop/standardise.h"

#include <vector>

#include <torch/torch.h>

namespace orchard::training {

Standardise::Standardise(const orchard::v1::Preprocessing& preprocessing,
                         const torch::Device& device) {
  std::vector<float> scale, shift;
  for (int c = 0; c < preprocessing.std_size(); ++c) {
    scale.push_back(1.0F / (255.0F * preprocessing.std(c)));
    shift.push_back(preprocessing.mean(c) / preprocessing.std(c));
  }
  scale_ = torch::tensor(scale).view({-1, 1, 1}).to(device);
  shift_ = torch::tensor(shift).view({-1, 1, 1}).to(device);
}

torch::Tensor Standardise::operator()(const torch::Tensor& pixels) const {
  const torch::Tensor planes = pixels.permute({0, 3, 1, 2}).to(torch::kFloat32).contiguous();
  return planes * scale_ - shift_;
}

}  // namespace orchard::training
