#include "nets/backbones/simple_cnn.h"

#include <torch/nn.h>

namespace orchard::nets {

SimpleCnn::SimpleCnn(bool same_padding) {
  const auto layer = [same_padding](int64_t in, int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(same_padding ? 1 : 0));
  };
  conv1 = register_module("conv1", layer(3, 32));
  conv2 = register_module("conv2", layer(32, 64));
  conv3 = register_module("conv3", layer(64, 128));
}

torch::Tensor SimpleCnn::Map(const torch::Tensor& x, const AfterStage& after) {
  torch::Tensor y = x;
  size_t stage = 0;
  for (torch::nn::Conv2d& layer : {std::ref(conv1), std::ref(conv2), std::ref(conv3)}) {
    y = After(after, stage++, torch::max_pool2d(torch::relu(layer(y)), 2));
  }
  return y;
}

int64_t SimpleCnnMapSide(int64_t side, bool same_padding) {
  for (int stage = 0; stage < 3; ++stage) side = (same_padding ? side : side - 2) / 2;
  return side;
}

}  // namespace orchard::nets
