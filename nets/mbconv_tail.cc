#include "nets/mbconv_tail.h"

#include "nets/conv_bn.h"
#include "nets/exponentials.h"
#include "nets/mobilenet_v2.h"

namespace orchard::nets {

MbconvTail::MbconvTail(const v1::MbconvTail& choices, const HeadArgs& args) {
  const int64_t hidden = choices.hidden();
  const int64_t narrow = choices.squeeze();
  expand = register_module("expand",
                           torch::nn::Sequential(Convolution({.in = kMapChannels, .out = hidden}),
                                                 Norm(hidden), torch::nn::Functional(Silu)));
  depthwise = register_module(
      "depthwise", torch::nn::Sequential(
                       Convolution({.in = hidden, .out = hidden, .kernel = 3, .groups = hidden}),
                       Norm(hidden), torch::nn::Functional(Silu)));
  squeeze = register_module("squeeze", Dense(hidden, narrow));
  excite = register_module("excite", Dense(narrow, hidden));
  const torch::nn::BatchNorm2d last = Norm(kMapChannels);
  torch::nn::init::zeros_(last->weight);
  reduce = register_module(
      "reduce", torch::nn::Sequential(Convolution({.in = hidden, .out = kMapChannels}), last));
  RegisterEnd(args);
}

torch::Tensor MbconvTail::forward(const torch::Tensor& map) {
  torch::Tensor y = depthwise->forward(expand->forward(map));   // [N, h, 7, 7]
  const torch::Tensor mean = y.mean({2, 3}, /*keepdim=*/true);  // [N, h, 1, 1]
  y = y * Sigmoid(excite(Silu(squeeze(mean))));                 // [N, h, 7, 7]
  return End(map + reduce->forward(y));
}

}  // namespace orchard::nets
