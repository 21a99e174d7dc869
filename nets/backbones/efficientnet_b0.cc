#include "nets/backbones/efficientnet_b0.h"

#include <algorithm>
#include <array>

#include <torch/nn.h>

#include "nets/conv_bn.h"
#include "nets/drop_path.h"

namespace orchard::nets {
namespace {

constexpr double kStochasticDepth = 0.2;
constexpr double kDropout = 0.2;
constexpr int64_t kStemWidth = 32;
constexpr int64_t kHeadWidth = 1280;

struct Stage {
  int64_t expansion, kernel, stride, width, blocks;
};
constexpr std::array<Stage, 7> kStages = {{{1, 3, 1, 16, 1},
                                           {6, 3, 2, 24, 2},
                                           {6, 5, 2, 40, 2},
                                           {6, 3, 2, 80, 3},
                                           {6, 5, 1, 112, 3},
                                           {6, 5, 2, 192, 4},
                                           {6, 3, 1, 320, 1}}};

constexpr int64_t Blocks() {
  int64_t count = 0;
  for (const Stage& stage : kStages) count += stage.blocks;
  return count;
}

/// Convolution "0", norm "1", then SiLU or nothing.
struct ConvNormImpl final : torch::nn::Module {
  ConvNormImpl(const ConvOptions& options, bool activated) : activated_(activated) {
    convolution_ = register_module("0", Convolution(options));
    norm_ = register_module("1", Norm(options.out));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = norm_(convolution_(x));
    return activated_ ? torch::silu(y) : y;
  }

 private:
  bool activated_;
  torch::nn::Conv2d convolution_{nullptr};
  torch::nn::BatchNorm2d norm_{nullptr};
};
TORCH_MODULE(ConvNorm);

/// torchvision's squeeze-and-excitation: 1×1 convolutions, SiLU inside.
struct SqueezeImpl final : torch::nn::Module {
  SqueezeImpl(int64_t channels, int64_t squeezed) {
    fc1 = register_module("fc1", Dense(channels, squeezed));
    fc2 = register_module("fc2", Dense(squeezed, channels));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor mean = x.mean({2, 3}, /*keepdim=*/true);  // [N, C, 1, 1]
    return x * torch::sigmoid(fc2(torch::silu(fc1(mean))));
  }

  torch::nn::Conv2d fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(Squeeze);

struct MbConvImpl final : torch::nn::Module {
  MbConvImpl(const Stage& stage, int64_t in, int64_t stride, double drop)
      : skip_(stride == 1 && in == stage.width), drop_(drop) {
    const int64_t hidden = in * stage.expansion;
    torch::nn::Sequential layers;
    if (hidden != in) layers->push_back(ConvNorm(ConvOptions{.in = in, .out = hidden}, true));
    layers->push_back(ConvNorm(ConvOptions{.in = hidden,
                                           .out = hidden,
                                           .kernel = stage.kernel,
                                           .stride = stride,
                                           .groups = hidden},
                               true));
    layers->push_back(Squeeze(hidden, std::max<int64_t>(1, in / 4)));
    layers->push_back(ConvNorm(ConvOptions{.in = hidden, .out = stage.width}, false));
    block = register_module("block", layers);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = block->forward(x);
    return skip_ ? x + DropPath(y, drop_, is_training()) : y;
  }

  torch::nn::Sequential block{nullptr};

 private:
  bool skip_;
  double drop_;
};
TORCH_MODULE(MbConv);

}  // namespace

EfficientNetB0::EfficientNetB0(int64_t classes) {
  torch::nn::ModuleList list;
  list->push_back(
      ConvNorm(ConvOptions{.in = 3, .out = kStemWidth, .kernel = 3, .stride = 2}, true));
  int64_t in = kStemWidth;
  int64_t index = 0;
  for (const Stage& stage : kStages) {
    torch::nn::Sequential blocks;
    for (int64_t i = 0; i < stage.blocks; ++i, ++index) {
      const double drop =
          kStochasticDepth * static_cast<double>(index) / static_cast<double>(Blocks());
      blocks->push_back(MbConv(stage, in, i == 0 ? stage.stride : 1, drop));
      in = stage.width;
    }
    list->push_back(blocks);
  }
  list->push_back(ConvNorm(ConvOptions{.in = in, .out = kHeadWidth}, true));
  features = register_module("features", list);
  if (classes > 0) {
    classifier = register_module("classifier",
                                 torch::nn::Sequential(torch::nn::Dropout(kDropout),
                                                       torch::nn::Linear(kHeadWidth, classes)));
  }
  InitialiseForRelu(*this);
}

torch::Tensor EfficientNetB0::Map(const torch::Tensor& x, const AfterStage& after) {
  torch::Tensor y = x;
  size_t stage = 0;
  for (const auto& layer : *features) {
    if (auto* blocks = layer->as<torch::nn::SequentialImpl>()) {
      y = After(after, stage++, blocks->forward(y));
    } else {
      y = layer->as<ConvNormImpl>()->forward(y);
    }
  }
  return After(after, stage, y);
}

std::vector<int64_t> EfficientNetB0::StageChannels() const {
  std::vector<int64_t> channels;
  for (const Stage& stage : kStages) channels.push_back(stage.width);
  channels.push_back(kHeadWidth);
  return channels;
}

torch::Tensor EfficientNetB0::Classify(const torch::Tensor& pooled) {
  return classifier ? classifier->forward(pooled) : pooled;
}

}  // namespace orchard::nets
