#include "nets/conv_bn.h"

namespace orchard::nets {

torch::nn::Conv2d Convolution(const ConvOptions& options) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(options.in, options.out, options.kernel)
                               .stride(options.stride)
                               .padding(options.kernel / 2)
                               .groups(options.groups)
                               .bias(false));
}

torch::nn::Conv2d Dense(int64_t in, int64_t out) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1));
}

torch::Tensor AsPixels(const torch::Tensor& rows) { return rows.unsqueeze(-1).unsqueeze(-1); }

torch::nn::BatchNorm2d Norm(int64_t channels) {
  return torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(channels).eps(1e-5));
}

ConvBnRelu6Impl::ConvBnRelu6Impl(const ConvOptions& options)
    : convolution_(register_module("0", Convolution(options))),
      norm_(register_module("1", Norm(options.out))) {}

torch::Tensor ConvBnRelu6Impl::forward(const torch::Tensor& x) {
  return torch::relu6(norm_(convolution_(x)));
}

}  // namespace orchard::nets
