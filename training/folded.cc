#include "training/folded.h"

#include <memory>
#include <string>

namespace orchard::training {
namespace {

/// conv2d with the scale and shift of `norm` in its weights. The gradient reaches the kernel, the
/// scale and the shift through the product.
torch::Tensor Convolve(const torch::Tensor& x, torch::nn::Conv2dImpl& convolution,
                       torch::nn::BatchNorm2dImpl& norm) {
  const torch::Tensor scale =
      norm.weight * torch::rsqrt(norm.running_var + norm.options.eps());  // [out]
  const torch::Tensor kernel =
      (convolution.weight * scale.view({-1, 1, 1, 1}))
          .contiguous(at::MemoryFormat::ChannelsLast);               // [out, in/g, k, k]
  const torch::Tensor bias = norm.bias - norm.running_mean * scale;  // [out]
  const auto& options = convolution.options;
  const int64_t padding = convolution.weight.size(2) / 2;
  return torch::conv2d(x, kernel, bias, options.stride(), padding, /*dilation=*/1,
                       options.groups());
}

/// A module with children "0" (convolution) and "1" (norm): torchvision's ConvNormActivation.
torch::Tensor ConvolveRelu6(const torch::Tensor& x, const torch::nn::Module& pair) {
  const auto& children = pair.named_children();
  torch::Tensor y = Convolve(x, *children["0"]->as<torch::nn::Conv2dImpl>(),
                             *children["1"]->as<torch::nn::BatchNorm2dImpl>());
  return torch::hardtanh_(y, 0.0, 6.0);  // In place: its gradient needs nothing but its result.
}

/// `layers` are [expand,] depthwise, project, norm.
torch::Tensor Residual(const torch::Tensor& x, torch::nn::SequentialImpl& layers) {
  torch::Tensor y = x;
  const size_t pairs = layers.size() - 2;
  for (size_t i = 0; i < pairs; ++i) y = ConvolveRelu6(y, *layers.ptr(i));
  y = Convolve(y, *layers.ptr(pairs)->as<torch::nn::Conv2dImpl>(),
               *layers.ptr(pairs + 1)->as<torch::nn::BatchNorm2dImpl>());
  return y.sizes() == x.sizes() ? x + y : y;
}

torch::Tensor Block(const torch::Tensor& x, const torch::nn::Module& block) {
  const auto children = block.named_children();
  if (const auto* layers = children.find("conv")) {
    return Residual(x, *(*layers)->as<torch::nn::SequentialImpl>());
  }
  return ConvolveRelu6(x, block);
}

}  // namespace

nets::EncoderFeatures FoldedForward(nets::MobileNetV2& encoder, const torch::Tensor& x,
                                    int64_t first_trained) {
  torch::Tensor y = x;
  const int64_t last = nets::kEncoderBlocks - 1;
  for (int64_t i = 0; i < last; ++i) {
    const bool trains = torch::GradMode::is_enabled() && i >= first_trained;
    const torch::AutoGradMode mode(trains);
    y = Block(y, *encoder->features->ptr(static_cast<size_t>(i)));
  }
  const torch::Tensor top = Block(y, *encoder->features->ptr(static_cast<size_t>(last)));
  return {.map = y, .pooled = top.mean({2, 3})};  // [N, 320, H/32, W/32], [N, 1280]
}

}  // namespace orchard::training
