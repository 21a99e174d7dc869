#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include <torch/torch.h>

namespace orchard::nets {

/// The largest difference between autograd's gradient of `loss` by `leaf` and central differences,
/// relative to the largest gradient (at least 1). `leaf` is a float64 leaf that requires gradients;
/// at most `limit` of its elements are tried, spread evenly.
inline double GradientError(const std::function<torch::Tensor()>& loss, torch::Tensor leaf,
                            int64_t limit = 12) {
  constexpr double kStep = 1e-5;
  if (leaf.grad().defined()) leaf.mutable_grad().zero_();
  loss().backward();
  const torch::Tensor got = leaf.grad().defined() ? leaf.grad().clone().flatten()
                                                  : torch::zeros({leaf.numel()}, leaf.options());
  const torch::NoGradGuard guard;
  torch::Tensor flat = leaf.view({-1});
  double worst = 0.0;
  const int64_t stride = std::max<int64_t>(1, leaf.numel() / limit);
  for (int64_t i = 0; i < leaf.numel(); i += stride) {
    const double at = flat[i].item<double>();
    flat[i] = at + kStep;
    const double above = loss().item<double>();
    flat[i] = at - kStep;
    const double below = loss().item<double>();
    flat[i] = at;
    worst = std::max(worst, std::abs((above - below) / (2 * kStep) - got[i].item<double>()));
  }
  return worst / std::max(1.0, got.abs().max().item<double>());
}

}  // namespace orchard::nets
