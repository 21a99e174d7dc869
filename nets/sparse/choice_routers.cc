#include "nets/sparse/choice_routers.h"

#include <algorithm>
#include <cmath>

#include <torch/torch.h>

namespace orchard::nets {

// Of groups [.., n, E] as well: all pictures of a batch at once, each by itself.
Assignment ChooseTokens(const torch::Tensor& scores, int64_t k) {
  const torch::Tensor best = SelectTopK(scores.transpose(-2, -1), k).indices;  // [.., E, k] tokens
  const torch::Tensor chosen =
      torch::zeros_like(scores, torch::kBool)
          .scatter(-2, best.transpose(-2, -1).contiguous(), 1);  // [.., n, E]
  const torch::Tensor column = torch::arange(scores.size(-1), best.options()).expand_as(scores);
  return {.experts = torch::where(chosen, column, torch::full_like(column, -1)),
          .weights = scores * chosen.to(scores.scalar_type())};
}

ExpertChoiceRouter::ExpertChoiceRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
}

Routing ExpertChoiceRouter::forward(const torch::Tensor& x) {
  Routing routing{.logits = logits(Tokens(x))};
  routing.probabilities = routing.logits.softmax(-1);
  const int64_t group = options.by_picture ? x.size(1) : routing.logits.size(0);
  const auto wanted = static_cast<int64_t>(std::floor(static_cast<double>(group) * options.choices /
                                                      static_cast<double>(options.experts)));
  const int64_t k = std::clamp<int64_t>(wanted, std::min<int64_t>(1, group), group);
  const int64_t groups = group == 0 ? 0 : routing.logits.size(0) / group;
  const Assignment chosen =
      ChooseTokens(routing.probabilities.view({groups, group, options.experts}), k);
  routing.assignment = {.experts = chosen.experts.view({-1, options.experts}),
                        .weights = chosen.weights.view({-1, options.experts})};
  return routing;
}

SoftRouting MixSoftly(const torch::Tensor& logits) {
  return {.dispatch = logits.softmax(1), .combine = logits.softmax(2)};
}

SoftRouterImpl::SoftRouterImpl(int64_t width, int64_t experts, int64_t slots_each) {
  phi = register_parameter(
      "phi", torch::randn({width, experts * slots_each}) / std::sqrt(static_cast<double>(width)));
  scale = register_parameter("scale", torch::ones({}));
}

SoftRouting SoftRouterImpl::forward(const torch::Tensor& x) {
  const auto unit = [](const torch::Tensor& v, int64_t dim) {
    return v / v.norm(2, dim, /*keepdim=*/true).clamp_min(1e-6);
  };
  return MixSoftly(torch::matmul(unit(x, -1), unit(phi, 0) * scale));  // [B, T, S]
}

}  // namespace orchard::nets
