#include "nets/mobilenet_v2.h"

#include <array>

#include "nets/conv_bn.h"

namespace orchard::nets {
namespace {

/// One inverted residual. Submodule `conv` holds [expand,] depthwise, project, norm.
struct InvertedResidualImpl final : torch::nn::Module {
  InvertedResidualImpl(int64_t in, int64_t out, int64_t stride, int64_t expansion)
      : skip_(stride == 1 && in == out) {
    const int64_t hidden = in * expansion;
    torch::nn::Sequential layers;
    if (expansion != 1) layers->push_back(ConvBnRelu6(ConvOptions{.in = in, .out = hidden}));
    layers->push_back(ConvBnRelu6(
        ConvOptions{.in = hidden, .out = hidden, .kernel = 3, .stride = stride, .groups = hidden}));
    layers->push_back(Convolution({.in = hidden, .out = out}));
    layers->push_back(Norm(out));
    conv = register_module("conv", layers);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return skip_ ? x + conv->forward(x) : conv->forward(x);
  }

  torch::nn::Sequential conv{nullptr};

 private:
  bool skip_;
};
TORCH_MODULE(InvertedResidual);

/// Table 2 of the paper: expansion t, channels c, repeats n, stride s of the first.
struct Stage {
  int64_t expansion, channels, repeats, stride;
};
constexpr std::array<Stage, 7> kStages = {{{1, 16, 1, 1},
                                           {6, 24, 2, 2},
                                           {6, 32, 3, 2},
                                           {6, 64, 4, 2},
                                           {6, 96, 3, 1},
                                           {6, 160, 3, 2},
                                           {6, 320, 1, 1}}};
constexpr int64_t kStemChannels = 32;

torch::Tensor Run(const std::shared_ptr<torch::nn::Module>& block, const torch::Tensor& x) {
  if (auto* residual = block->as<InvertedResidualImpl>()) return residual->forward(x);
  return block->as<ConvBnRelu6Impl>()->forward(x);
}

}  // namespace

MobileNetV2Impl::MobileNetV2Impl() {
  torch::nn::ModuleList blocks;
  blocks->push_back(
      ConvBnRelu6(ConvOptions{.in = 3, .out = kStemChannels, .kernel = 3, .stride = 2}));
  int64_t in = kStemChannels;
  for (const Stage& stage : kStages) {
    for (int64_t i = 0; i < stage.repeats; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      blocks->push_back(InvertedResidual(in, stage.channels, stride, stage.expansion));
      in = stage.channels;
    }
  }
  blocks->push_back(ConvBnRelu6(ConvOptions{.in = in, .out = kPooledWidth}));
  features = register_module("features", blocks);
}

EncoderFeatures MobileNetV2Impl::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  const int64_t last = kEncoderBlocks - 1;
  for (int64_t i = 0; i < last; ++i) {
    const auto& block = features->ptr(static_cast<size_t>(i));
    if (i < first_trained_) {
      const torch::NoGradGuard frozen;  // Nothing before it needs a graph: half the time saved.
      y = Run(block, y);
    } else {
      y = Run(block, y);
    }
  }
  const torch::Tensor top = Run(features->ptr(static_cast<size_t>(last)), y);  // [N, 1280, 7, 7]
  return {.map = y, .pooled = top.mean({2, 3})};
}

void MobileNetV2Impl::PrepareFineTuning(int64_t first_trained) {
  first_trained_ = first_trained;
  for (int64_t i = 0; i < kEncoderBlocks; ++i) {
    for (torch::Tensor& parameter : features->ptr(static_cast<size_t>(i))->parameters()) {
      parameter.set_requires_grad(i >= first_trained);
    }
  }
  for (const auto& module : modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) norm->eval();
  }
}

torch::Tensor Standardise(const torch::Tensor& pixels, const torch::Tensor& mean,
                          const torch::Tensor& std) {
  const torch::Tensor scale = (std * 255.0).reciprocal().view({1, 3, 1, 1});
  const torch::Tensor shift = (mean / std).view({1, 3, 1, 1});
  return pixels.permute({0, 3, 1, 2}).to(torch::kFloat32) * scale - shift;  // [N, 3, H, W]
}

}  // namespace orchard::nets
