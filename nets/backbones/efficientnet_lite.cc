#include "nets/backbones/efficientnet_lite.h"

#include <algorithm>
#include <array>

#include <torch/nn.h>

#include "nets/drop_path.h"

namespace orchard::nets {
namespace {

constexpr double kEps = 1e-3;
constexpr double kMomentum = 0.01;
constexpr double kDropConnect = 0.2;
constexpr int64_t kStemWidth = 32;
constexpr int64_t kHeadWidth = 1280;

struct Stage {
  int64_t kernel, stride, expansion;
};
constexpr std::array<Stage, 7> kStages = {
    {{3, 1, 1}, {3, 2, 6}, {5, 2, 6}, {3, 2, 6}, {5, 1, 6}, {5, 2, 6}, {3, 1, 6}}};

/// A convolution without bias or padding: the padding is of the input's size.
torch::nn::Conv2d Unpadded(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                           int64_t groups) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).groups(groups).bias(false));
}

torch::nn::BatchNorm2d LiteNorm(int64_t channels) {
  return torch::nn::BatchNorm2d(
      torch::nn::BatchNorm2dOptions(channels).eps(kEps).momentum(kMomentum));
}

torch::Tensor ConvolveSame(torch::nn::Conv2d& convolution, const torch::Tensor& x) {
  const int64_t kernel = convolution->weight.size(2);
  const int64_t stride = convolution->options.stride()->at(0);
  const auto [top, bottom] = SamePadding(x.size(2), kernel, stride);
  const auto [left, right] = SamePadding(x.size(3), kernel, stride);
  return convolution(torch::constant_pad_nd(x, {left, right, top, bottom}));
}

struct LiteBlockImpl final : torch::nn::Module {
  LiteBlockImpl(const Stage& stage, int64_t in, int64_t out, int64_t stride, double drop)
      : skip_(stride == 1 && in == out), drop_(drop) {
    const int64_t hidden = in * stage.expansion;
    if (stage.expansion != 1) {
      expand = register_module("_expand_conv", Unpadded(in, hidden, 1, 1, 1));
      expand_norm = register_module("_bn0", LiteNorm(hidden));
    }
    depthwise =
        register_module("_depthwise_conv", Unpadded(hidden, hidden, stage.kernel, stride, hidden));
    depthwise_norm = register_module("_bn1", LiteNorm(hidden));
    project = register_module("_project_conv", Unpadded(hidden, out, 1, 1, 1));
    project_norm = register_module("_bn2", LiteNorm(out));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    if (expand) y = torch::relu6(expand_norm(expand(y)));
    y = torch::relu6(depthwise_norm(ConvolveSame(depthwise, y)));
    y = project_norm(project(y));
    return skip_ ? x + DropPath(y, drop_, is_training()) : y;
  }

  torch::nn::Conv2d expand{nullptr}, depthwise{nullptr}, project{nullptr};
  torch::nn::BatchNorm2d expand_norm{nullptr}, depthwise_norm{nullptr}, project_norm{nullptr};

 private:
  bool skip_;
  double drop_;
};
TORCH_MODULE(LiteBlock);

}  // namespace

std::pair<int64_t, int64_t> SamePadding(int64_t size, int64_t kernel, int64_t stride) {
  const int64_t out = (size + stride - 1) / stride;
  const int64_t total = std::max<int64_t>((out - 1) * stride + kernel - size, 0);
  return {total / 2, total - total / 2};
}

EfficientNetLite::EfficientNetLite(const BackboneOptions& options) {
  const bool lite2 = options.kind == BackboneKind::kEfficientNetLite2;
  stage_widths_ = lite2 ? std::vector<int64_t>{16, 24, 48, 88, 120, 208, 352}
                        : std::vector<int64_t>{16, 24, 40, 80, 112, 192, 320};
  stage_blocks_ =
      lite2 ? std::vector<int64_t>{1, 3, 3, 4, 4, 5, 1} : std::vector<int64_t>{1, 2, 2, 3, 3, 4, 1};
  dropout_ = lite2 ? 0.3 : 0.2;
  int64_t total = 0;
  for (const int64_t count : stage_blocks_) total += count;
  stem = register_module("_conv_stem", Unpadded(3, kStemWidth, 3, 2, 1));
  stem_norm = register_module("_bn0", LiteNorm(kStemWidth));
  torch::nn::ModuleList list;
  int64_t in = kStemWidth;
  for (size_t stage = 0; stage < kStages.size(); ++stage) {
    for (int64_t i = 0; i < stage_blocks_[stage]; ++i) {
      const double share = static_cast<double>(list->size()) / static_cast<double>(total);
      list->push_back(LiteBlock(kStages[stage], in, stage_widths_[stage],
                                i == 0 ? kStages[stage].stride : 1, kDropConnect * share));
      in = stage_widths_[stage];
    }
  }
  blocks = register_module("_blocks", list);
  head = register_module("_conv_head", Unpadded(in, kHeadWidth, 1, 1, 1));
  head_norm = register_module("_bn1", LiteNorm(kHeadWidth));
  if (options.classes > 0) {
    fc = register_module("_fc", torch::nn::Linear(kHeadWidth, options.classes));
  }
  InitialiseForRelu(*this);
}

torch::Tensor EfficientNetLite::Map(const torch::Tensor& x, const AfterStage& after) {
  torch::Tensor y = torch::relu6(stem_norm(ConvolveSame(stem, x)));
  size_t next = 0;
  for (size_t stage = 0; stage < kStages.size(); ++stage) {
    for (int64_t i = 0; i < stage_blocks_[stage]; ++i) {
      y = blocks->ptr(next++)->as<LiteBlockImpl>()->forward(y);
    }
    y = After(after, stage, y);
  }
  return After(after, kStages.size(), torch::relu6(head_norm(head(y))));
}

std::vector<int64_t> EfficientNetLite::StageChannels() const {
  std::vector<int64_t> channels = stage_widths_;
  channels.push_back(kHeadWidth);
  return channels;
}

torch::Tensor EfficientNetLite::Classify(const torch::Tensor& pooled) {
  return fc ? fc(torch::dropout(pooled, dropout_, is_training())) : pooled;
}

}  // namespace orchard::nets
