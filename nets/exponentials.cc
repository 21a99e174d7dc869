#include "nets/exponentials.h"

#include <torch/nn.h>

namespace orchard::nets {
namespace {

constexpr int64_t kPair = 32;  // floats in two registers of AVX-512, the widest there are

/// Of shape [N, C, H, W], as `x`. Only N may change after tracing.
template <typename Function>
torch::Tensor OnWholePairs(const torch::Tensor& x, const Function& function) {
  const int64_t width = x.size(1) * x.size(2) * x.size(3);
  if (width % kPair == 0) return function(x);
  const torch::Tensor rows =
      torch::constant_pad_nd(x.flatten(1), {0, kPair - width % kPair});  // [N, whole pairs]
  return function(rows).slice(1, 0, width).reshape({-1, x.size(1), x.size(2), x.size(3)});
}

}  // namespace

torch::Tensor Silu(const torch::Tensor& x) {
  return OnWholePairs(x, [](const torch::Tensor& y) { return torch::silu(y); });
}

torch::Tensor Sigmoid(const torch::Tensor& x) {
  return OnWholePairs(x, [](const torch::Tensor& y) { return torch::sigmoid(y); });
}

}  // namespace orchard::nets
