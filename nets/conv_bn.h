#pragma once

#include <cstdint>

#include <torch/nn.h>

/// \file
/// The convolutions that every architecture here is built from.

namespace orchard::nets {

struct ConvOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
};

/// A convolution without bias, "same" padding for stride 1.
torch::nn::Conv2d Convolution(const ConvOptions& options);

/// A dense layer as a 1×1 convolution with bias on [N, in, 1, 1]: in oneDNN a row's bits don't
/// depend on the batch; OpenBLAS, behind a torch::nn::Linear, chooses its kernels by batch size.
torch::nn::Conv2d Dense(int64_t in, int64_t out);

/// [N, D] → [N, D, 1, 1], what Dense reads.
torch::Tensor AsPixels(const torch::Tensor& rows);

/// BatchNorm with eps 1e-5 over `channels`.
torch::nn::BatchNorm2d Norm(int64_t channels);

/// Convolution, BatchNorm, ReLU6. Submodules "0" and "1", as in torchvision's ConvNormActivation
/// (a torch::nn::Sequential can't hold another one).
struct ConvBnRelu6Impl final : torch::nn::Module {
  explicit ConvBnRelu6Impl(const ConvOptions& options);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Conv2d convolution_{nullptr};
  torch::nn::BatchNorm2d norm_{nullptr};
};
TORCH_MODULE(ConvBnRelu6);

}  // namespace orchard::nets
