#include "training/studies/masked_moe/folded.h"

#include "nets/serve/folded.h"

namespace orchard::training {
namespace {

torch::Tensor Block(const torch::Tensor& x, const torch::nn::Module& module) {
  const nets::FoldedBlock block = nets::Fold(module);
  torch::Tensor y = x;
  for (const nets::FoldedConvolution& layer : block.layers) {
    y = torch::conv2d(y, layer.kernel, layer.bias, layer.stride, layer.padding(), /*dilation=*/1,
                      layer.groups);
    if (layer.relu6)
      torch::hardtanh_(y, 0.0, 6.0);  // In place: its gradient needs its result only.
  }
  return block.skip ? x + y : y;
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
