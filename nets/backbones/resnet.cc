#include "nets/backbones/resnet.h"

#include <array>
#include <memory>

#include "absl/strings/str_cat.h"
#include <torch/nn.h>

namespace orchard::nets {
namespace {

constexpr int64_t kStemWidth = 64;
constexpr double kEps = 1e-5;
constexpr double kKerasEps = 1.001e-5;

/// How convolutions and norms are made in one of the two forms.
struct Form {
  bool keras = false;

  torch::nn::Conv2d Convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride) const {
    return torch::nn::Conv2d(
        torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(keras));
  }
  torch::nn::BatchNorm2d Norm(int64_t channels) const {
    return torch::nn::BatchNorm2d(
        torch::nn::BatchNorm2dOptions(channels).eps(keras ? kKerasEps : kEps));
  }
};

/// A residual block of two or three convolutions.
struct ResidualImpl final : torch::nn::Module {
  ResidualImpl(const Form& form, int64_t in, int64_t width, int64_t stride, bool bottleneck) {
    const int64_t out = bottleneck ? 4 * width : width;
    if (bottleneck) {
      Add(form, in, width, 1, form.keras ? stride : 1);
      Add(form, width, width, 3, form.keras ? 1 : stride);
      Add(form, width, out, 1, 1);
    } else {
      Add(form, in, width, 3, stride);
      Add(form, width, out, 3, 1);
    }
    if (stride == 1 && in == out) return;
    downsample = register_module(
        "downsample", torch::nn::Sequential(form.Convolution(in, out, 1, stride), form.Norm(out)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (size_t i = 0; i < convolutions.size(); ++i) {
      if (i > 0) y = torch::relu(y);
      y = norms[i](convolutions[i](y));
    }
    return torch::relu(y + (downsample ? downsample->forward(x) : x));
  }

  std::vector<torch::nn::Conv2d> convolutions;
  std::vector<torch::nn::BatchNorm2d> norms;
  torch::nn::Sequential downsample{nullptr};

 private:
  void Add(const Form& form, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    const size_t number = convolutions.size() + 1;
    convolutions.push_back(
        register_module(absl::StrCat("conv", number), form.Convolution(in, out, kernel, stride)));
    norms.push_back(register_module(absl::StrCat("bn", number), form.Norm(out)));
  }
};
TORCH_MODULE(Residual);

}  // namespace

ResNet::ResNet(const BackboneOptions& options) {
  const bool bottleneck = options.kind == BackboneKind::kResNet50;
  const std::array<int, 4> blocks = bottleneck ? std::array{3, 4, 6, 3} : std::array{2, 2, 2, 2};
  expansion_ = bottleneck ? 4 : 1;
  const Form form{.keras = options.keras};
  conv1 = register_module("conv1", form.Convolution(3, kStemWidth, 7, 2));
  bn1 = register_module("bn1", form.Norm(kStemWidth));
  int64_t in = kStemWidth;
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    const int64_t width = kStemWidth << stage;
    torch::nn::ModuleList list;
    for (int i = 0; i < blocks[stage]; ++i) {
      list->push_back(Residual(form, in, width, stage > 0 && i == 0 ? 2 : 1, bottleneck));
      in = width * expansion_;
    }
    layers.push_back(register_module(absl::StrCat("layer", stage + 1), list));
  }
  if (options.classes > 0) fc = register_module("fc", torch::nn::Linear(in, options.classes));
  InitialiseForRelu(*this);
}

torch::Tensor ResNet::Map(const torch::Tensor& x, const AfterStage& after) {
  torch::Tensor y = torch::relu(bn1(conv1(x)));                              // [N, 64, H/2, ..]
  y = torch::max_pool2d(y, /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);  // [N, 64, H/4, ..]
  for (size_t stage = 0; stage < layers.size(); ++stage) {
    for (const auto& block : *layers[stage]) y = block->as<ResidualImpl>()->forward(y);
    y = After(after, stage, y);
  }
  return y;
}

std::vector<int64_t> ResNet::StageChannels() const {
  std::vector<int64_t> channels;
  for (int64_t width = kStemWidth; channels.size() < layers.size(); width *= 2) {
    channels.push_back(width * expansion_);
  }
  return channels;
}

torch::Tensor ResNet::Classify(const torch::Tensor& pooled) { return fc ? fc(pooled) : pooled; }

}  // namespace orchard::nets
