#pragma once

#include <cstdint>
#include <utility>

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// TensorFlow's SAME padding for a layer that reads `size` rows (or columns): before and after.
/// With stride 2 it depends on whether the size is even, so it is computed for every input.
std::pair<int64_t, int64_t> SamePadding(int64_t size, int64_t kernel, int64_t stride);

/// EfficientNet-Lite0 and -Lite2: EfficientNet without squeeze-and-excitation, with ReLU6.
///
///   block: [conv1×1 expand] ─ depthwise k×k (s) ─ conv1×1, + x; SAME padding; BatchNorm eps 1e-3
///
/// Parameters with 1,000 classes: 4,652,008 and 6,092,072, of them classifier 1,281,000;
/// multiply-adds 385,187,552 at 224 pixels and 859,736,272 at 260. Input (RGB - 127) / 128, centre
/// square of ⌊size / (size + 32) · shorter side⌋, bicubic. Names are those of the published files:
/// `_conv_stem`,
/// `_bn0`, `_blocks.N._expand_conv`, `._bn0`, `._depthwise_conv`, `._bn1`, `._project_conv`,
/// `._bn2`,
/// `_conv_head`, `_bn1`, `_fc`. Source: Tan and Le 2019 (arXiv:1905.11946); TensorFlow's Lite,
/// 2020.
struct EfficientNetLite final : BackboneImpl {
  explicit EfficientNetLite(const BackboneOptions& options);
  torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) override;
  std::vector<int64_t> StageChannels() const override;
  torch::Tensor Classify(const torch::Tensor& pooled) override;

  torch::nn::Conv2d stem{nullptr}, head{nullptr};
  torch::nn::BatchNorm2d stem_norm{nullptr}, head_norm{nullptr};
  torch::nn::ModuleList blocks{nullptr};
  torch::nn::Linear fc{nullptr};

 private:
  std::vector<int64_t> stage_widths_, stage_blocks_;
  double dropout_;
};

}  // namespace orchard::nets
