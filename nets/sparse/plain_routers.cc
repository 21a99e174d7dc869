#include "nets/sparse/plain_routers.h"

#include <cmath>

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/torch.h>

namespace orchard::nets {
namespace {

torch::nn::Linear Map(int64_t in, int64_t out, bool bias) {
  return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(bias));
}

}  // namespace

RouterLogitsImpl::RouterLogitsImpl(const RouterOptions& options)
    : kind_(options.kind),
      heads_(options.heads),
      scale_(1.0 / std::sqrt(static_cast<double>(options.width))) {
  const int64_t width = options.width;
  if (kind_ == RouterKind::kCrossAttention) {
    query = register_module("query", Map(width, width, options.bias));
    key = register_module("key", Map(width, width, options.bias));
    experts = register_parameter("experts", torch::randn({options.experts, width}) * 0.02);
    return;
  }
  const bool mlp = kind_ == RouterKind::kMlp;
  if (mlp) hidden = register_module("hidden", Map(width, options.hidden, true));
  const bool bias = options.bias && kind_ != RouterKind::kCosineToken;
  gate = register_module("gate", Map(mlp ? options.hidden : width, options.experts, bias));
  if (kind_ == RouterKind::kCosineToken) torch::nn::init::xavier_uniform_(gate->weight);
}

torch::Tensor RouterLogitsImpl::forward(const torch::Tensor& tokens) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  switch (kind_) {
    case RouterKind::kCosineToken:
      return gate(tokens) * scale_;
    case RouterKind::kMlp:
      return gate(torch::gelu(hidden(tokens)));
    case RouterKind::kCrossAttention: {
      const int64_t n = tokens.size(0);
      const int64_t head = tokens.size(1) / heads_;
      const torch::Tensor q = query(tokens).view({n, heads_, head}).transpose(0, 1);  // [h, n, d]
      const torch::Tensor k =
          key(experts).view({-1, heads_, head}).permute({1, 2, 0});                 // [h, d, E]
      return (torch::matmul(q, k) / std::sqrt(static_cast<double>(head))).mean(0);  // [n, E]
    }
    default:
      return gate(tokens);
  }
}

Assignment ChooseTopK(const torch::Tensor& probabilities, int64_t k, bool renormalise) {
  const TopK top = SelectTopK(probabilities, k);
  const torch::Tensor weights =
      renormalise ? top.values / top.values.sum(-1, /*keepdim=*/true) : top.values;
  return {.experts = top.indices, .weights = weights};
}

PlainRouter::PlainRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
}

Routing PlainRouter::forward(const torch::Tensor& x) {
  Routing routing{.logits = logits(Tokens(x))};  // [n, E]
  routing.probabilities = routing.logits.softmax(-1);
  routing.assignment = ChooseTopK(routing.probabilities, options.top_k,
                                  /*renormalise=*/options.kind != RouterKind::kSwitch);
  return routing;
}

torch::Tensor PlainRouter::ExpertEmbeddings() const {
  return options.kind == RouterKind::kCrossAttention ? logits->experts : logits->gate->weight;
}

LossFreeRouter::LossFreeRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
  bias = register_buffer("bias", torch::zeros({given.experts}));
}

Routing LossFreeRouter::forward(const torch::Tensor& x) {
  Routing routing{.logits = logits(Tokens(x))};
  const torch::Tensor scores =
      options.sigmoid ? torch::sigmoid(routing.logits) : routing.logits.softmax(-1);
  // For reports, a row must be a distribution also where the scores are sigmoids.
  routing.probabilities = options.sigmoid ? scores / scores.sum(-1, /*keepdim=*/true) : scores;
  const TopK top = SelectTopK(scores.detach() + bias, options.top_k);
  const torch::Tensor chosen = scores.gather(-1, top.indices);
  routing.assignment = {.experts = top.indices,
                        .weights = chosen / chosen.sum(-1, /*keepdim=*/true)};
  return routing;
}

void LossFreeRouter::Balance(const torch::Tensor& load) {
  const torch::NoGradGuard guard;
  const torch::Tensor counts = load.to(bias.options());
  bias.add_(torch::sign(counts.mean() - counts), options.bias_step);
}

}  // namespace orchard::nets
