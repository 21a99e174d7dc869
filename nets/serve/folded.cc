#include "nets/serve/folded.h"

namespace orchard::nets {
namespace {

FoldedConvolution FoldPair(const torch::nn::Conv2dImpl& convolution,
                           const torch::nn::BatchNorm2dImpl& norm, bool relu6) {
  const torch::Tensor scale =
      norm.weight * torch::rsqrt(norm.running_var + norm.options.eps());  // [out]
  return {.kernel = (convolution.weight * scale.view({-1, 1, 1, 1}))
                        .contiguous(at::MemoryFormat::ChannelsLast),
          .bias = norm.bias - norm.running_mean * scale,
          .stride = convolution.options.stride()->at(0),
          .groups = convolution.options.groups(),
          .relu6 = relu6};
}

/// A module with children "0" (convolution) and "1" (norm): torchvision's ConvNormActivation.
FoldedConvolution FoldRelu6(const torch::nn::Module& pair) {
  const auto children = pair.named_children();
  return FoldPair(*children["0"]->as<torch::nn::Conv2dImpl>(),
                  *children["1"]->as<torch::nn::BatchNorm2dImpl>(), /*relu6=*/true);
}

/// `layers` are [expand,] depthwise, project, norm.
FoldedBlock FoldResidual(const torch::nn::SequentialImpl& layers) {
  FoldedBlock block;
  const size_t pairs = layers.size() - 2;
  bool same_side = true;
  for (size_t i = 0; i < pairs; ++i) {
    block.layers.push_back(FoldRelu6(*layers.ptr(i)));
    same_side = same_side && block.layers.back().stride == 1;
  }
  block.layers.push_back(FoldPair(*layers.ptr(pairs)->as<torch::nn::Conv2dImpl>(),
                                  *layers.ptr(pairs + 1)->as<torch::nn::BatchNorm2dImpl>(),
                                  /*relu6=*/false));
  const FoldedConvolution& first = block.layers.front();
  const int64_t in = first.kernel.size(1) * first.groups;
  block.skip = same_side && in == block.layers.back().kernel.size(0);
  return block;
}

}  // namespace

FoldedBlock Fold(const torch::nn::Module& block) {
  const auto children = block.named_children();
  if (const auto* layers = children.find("conv")) {
    return FoldResidual(*(*layers)->as<torch::nn::SequentialImpl>());
  }
  return {.layers = {FoldRelu6(block)}, .skip = false};
}

}  // namespace orchard::nets
