#pragma once

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// ResNet-18 and ResNet-50, four stages of residual blocks after conv 7×7 s2 and max pooling.
///
///   basic (18):       conv3×3 (s) ─ conv3×3, + skip
///   bottleneck (50):  conv1×1 ─ conv3×3 (s) ─ conv1×1 to 4 times the width, + skip
///
/// Parameters with 1,000 classes: 11,689,512 and 25,557,032; trunks 11,176,512 and 23,508,032.
/// Names are torchvision's (and timm's): `conv1`, `bn1`, `layer1.0.conv1`, `.downsample.0`, `fc`.
/// BatchNorm eps 1e-5. Keras' form has biases (26,560), eps 1.001e-5 and the stride on the first
/// 1×1; with the 53,120 moving statistics that Keras counts, its trunk has 23,587,712. No weights
/// are to be had: they train from scratch. Source: He et al. 2016 (arXiv:1512.03385).
struct ResNet final : BackboneImpl {
  explicit ResNet(const BackboneOptions& options);
  torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) override;
  std::vector<int64_t> StageChannels() const override;
  torch::Tensor Classify(const torch::Tensor& pooled) override;

  torch::nn::Conv2d conv1{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr};
  std::vector<torch::nn::ModuleList> layers;
  torch::nn::Linear fc{nullptr};

 private:
  int64_t expansion_;
};

}  // namespace orchard::nets
