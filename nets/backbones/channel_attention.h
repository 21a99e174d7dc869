#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include <torch/nn.h>

/// \file
/// Attention on maps [N, C, h, w] that may follow a stage of a backbone.

namespace orchard::nets {

/// x ↦ the same shape.
struct MapAttentionImpl : torch::nn::Module {
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};
using MapAttention = std::shared_ptr<MapAttentionImpl>;

/// Squeeze-and-excitation: x · σ(fc2 relu(fc1 mean(x))). Parameters: 2C²/r + C/r + C: 4,240 for C
/// 128, 66,112 for 512, 1,050,880 for 2048 at r 8. With `gated` off the same layers are added
/// instead of multiplied: the control for capacity. Source: Hu et al. 2018 (arXiv:1709.01507).
/// Before global averaging it is no spatial attention: mean(s · x) = s · mean(x).
struct SqueezeExcite final : MapAttentionImpl {
  SqueezeExcite(int64_t channels, int64_t reduction, bool gated = true);
  torch::Tensor forward(const torch::Tensor& x) override;

  torch::nn::Linear fc1{nullptr}, fc2{nullptr};

 private:
  bool gated_;
};

/// CBAM: a channel gate from mean and maximum through one MLP (with biases), then a spatial gate:
/// conv 7×7 over the channels' maximum and mean, BatchNorm. Parameters at r 16: 2,284 for C 128,
/// 33,412 for 512, 526,564 for 2048. Source: Woo et al. 2018 (arXiv:1807.06521).
struct Cbam final : MapAttentionImpl {
  Cbam(int64_t channels, int64_t reduction);
  torch::Tensor forward(const torch::Tensor& x) override;

  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::Conv2d spatial{nullptr};
  torch::nn::BatchNorm2d spatial_norm{nullptr};
};

}  // namespace orchard::nets
