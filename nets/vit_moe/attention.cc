#include "nets/vit_moe/attention.h"

#include <cmath>

#include <torch/nn.h>

namespace orchard::nets {

torch::Tensor AttentionWeights(const torch::Tensor& q, const torch::Tensor& k, double scale) {
  return (torch::matmul(q, k.transpose(-2, -1)) * scale).softmax(-1);
}

SelfAttentionImpl::SelfAttentionImpl(const AttentionOptions& options) : heads_(options.heads) {
  const double root = std::sqrt(static_cast<double>(options.width / options.heads));
  scale_ = options.multiplied_scale ? root : 1.0 / root;
  qkv = register_module("qkv", torch::nn::Linear(options.width, 3 * options.width));
  proj = register_module("proj", torch::nn::Linear(options.width, options.width));
  attention_drop = register_module("attn_drop", torch::nn::Dropout(options.attention_dropout));
  drop = register_module("proj_drop", torch::nn::Dropout(options.dropout));
}

torch::Tensor SelfAttentionImpl::forward(const torch::Tensor& x) {
  const int64_t b = x.size(0);
  const int64_t t = x.size(1);
  const torch::Tensor parts =
      qkv(x).view({b, t, 3, heads_, x.size(2) / heads_}).permute({2, 0, 3, 1, 4});
  const torch::Tensor weights =
      attention_drop(AttentionWeights(parts[0], parts[1], scale_));              // [B, h, T, T]
  const torch::Tensor mixed = torch::matmul(weights, parts[2]).transpose(1, 2);  // [B, T, h, d]
  return drop(proj(mixed.reshape({b, t, x.size(2)})));                           // [B, T, D]
}

void TruncatedNormal(torch::Tensor tensor, double std) {
  const torch::NoGradGuard guard;
  tensor.normal_().fmod_(2.0).mul_(std);
}

}  // namespace orchard::nets
