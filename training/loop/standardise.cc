#include "training/loop/standardise.h"

#include <vector>

#include <torch/torch.h>

#include "nets/mobilenet_v2.h"

namespace orchard::training {
namespace {

torch::Tensor Row(const google::protobuf::RepeatedField<float>& values,
                  const torch::Device& device) {
  return torch::tensor(std::vector<float>(values.begin(), values.end())).to(device);
}

}  // namespace

Standardise::Standardise(const orchard::v1::Preprocessing& preprocessing,
                         const torch::Device& device)
    : mean_(Row(preprocessing.mean(), device)), std_(Row(preprocessing.std(), device)) {}

torch::Tensor Standardise::operator()(const torch::Tensor& pixels) const {
  return nets::Standardise(pixels.to(mean_.device()), mean_, std_);
}

}  // namespace orchard::training
