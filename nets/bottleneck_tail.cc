#include "nets/bottleneck_tail.h"

#include "nets/conv_bn.h"
#include "nets/mobilenet_v2.h"

namespace orchard::nets {

BottleneckTail::BottleneckTail(const v1::BottleneckTail& choices, const HeadArgs& args) {
  const int64_t width = choices.width();
  const torch::nn::BatchNorm2d last = Norm(kMapChannels);
  torch::nn::init::zeros_(last->weight);
  block = register_module(
      "block", torch::nn::Sequential(
                   Convolution({.in = kMapChannels, .out = width}), Norm(width), torch::nn::ReLU(),
                   Convolution({.in = width, .out = width, .kernel = 3}), Norm(width),
                   torch::nn::ReLU(), Convolution({.in = width, .out = kMapChannels}), last));
  RegisterEnd(args);
}

torch::Tensor BottleneckTail::forward(const torch::Tensor& map) {
  return End(map + block->forward(map));
}

}  // namespace orchard::nets
