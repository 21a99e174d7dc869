#include "nets/backbones/vgg16.h"

#include <array>

#include <torch/nn.h>

namespace orchard::nets {
namespace {

struct Stage {
  int64_t width;
  int convolutions;
};
constexpr std::array<Stage, 5> kStages = {{{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}};

}  // namespace

Vgg16::Vgg16() {
  torch::nn::ModuleList layers;
  int64_t in = 3;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.convolutions; ++i) {
      layers->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, stage.width, 3).padding(1)));
      layers->push_back(torch::nn::ReLU());
      in = stage.width;
    }
    layers->push_back(torch::nn::MaxPool2d(2));
  }
  features = register_module("features", layers);
  InitialiseForRelu(*this);
}

torch::Tensor Vgg16::Map(const torch::Tensor& x, const AfterStage& after) {
  torch::Tensor y = x;
  size_t stage = 0;
  for (const auto& layer : *features) {
    if (auto* convolution = layer->as<torch::nn::Conv2dImpl>()) {
      y = torch::relu(convolution->forward(y));
    } else if (auto* pooling = layer->as<torch::nn::MaxPool2dImpl>()) {
      y = After(after, stage++, pooling->forward(y));
    }
  }
  return y;
}

}  // namespace orchard::nets
