#include "nets/backbones/channel_attention.h"

#include <torch/nn.h>

namespace orchard::nets {
namespace {

torch::Tensor AsMap(const torch::Tensor& rows) { return rows.unsqueeze(-1).unsqueeze(-1); }

}  // namespace

SqueezeExcite::SqueezeExcite(int64_t channels, int64_t reduction, bool gated) : gated_(gated) {
  fc1 = register_module("fc1", torch::nn::Linear(channels, channels / reduction));
  fc2 = register_module("fc2", torch::nn::Linear(channels / reduction, channels));
}

torch::Tensor SqueezeExcite::forward(const torch::Tensor& x) {
  const torch::Tensor s = AsMap(fc2(torch::relu(fc1(x.mean({2, 3})))));  // [N, C, 1, 1]
  return gated_ ? x * torch::sigmoid(s) : x + s;
}

Cbam::Cbam(int64_t channels, int64_t reduction) {
  fc1 = register_module("fc1", torch::nn::Linear(channels, channels / reduction));
  fc2 = register_module("fc2", torch::nn::Linear(channels / reduction, channels));
  spatial = register_module(
      "spatial", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 1, 7).padding(3).bias(false)));
  spatial_norm = register_module(
      "spatial_norm", torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(1).momentum(0.01)));
}

torch::Tensor Cbam::forward(const torch::Tensor& x) {
  const auto mlp = [this](const torch::Tensor& rows) { return fc2(torch::relu(fc1(rows))); };
  const torch::Tensor channel = mlp(x.mean({2, 3})) + mlp(x.amax({2, 3}));  // [N, C]
  const torch::Tensor y = x * AsMap(torch::sigmoid(channel));
  const torch::Tensor both =
      torch::cat({y.amax(1, /*keepdim=*/true), y.mean(1, /*keepdim=*/true)}, 1);  // [N, 2, h, w]
  return y * torch::sigmoid(spatial_norm(spatial(both)));
}

}  // namespace orchard::nets
