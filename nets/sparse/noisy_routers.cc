#include "nets/sparse/noisy_routers.h"

#include <cmath>
#include <numbers>

#include <torch/torch.h>

namespace orchard::nets {
namespace {

constexpr double kLeastNoise = 1e-2;  // Shazeer et al. add it so that no expert's noise dies.

}  // namespace

torch::Tensor SmoothLoad(const torch::Tensor& clean, const torch::Tensor& noisy,
                         const torch::Tensor& sigma, int64_t k) {
  const torch::Tensor threshold = SelectTopK(noisy, k).values.narrow(-1, k - 1, 1);  // [n, 1]
  const torch::Tensor z = (clean - threshold) / sigma;
  return (0.5 * (1.0 + torch::erf(z / std::numbers::sqrt2))).sum(0);  // Φ(z), [E]
}

torch::Tensor KeepWithinCapacity(const torch::Tensor& experts, const torch::Tensor& priority,
                                 int64_t count, int64_t capacity) {
  const int64_t n = experts.size(0);
  const int64_t k = experts.size(1);
  const torch::Tensor order =
      std::get<1>(torch::sort(priority, /*stable=*/true, /*dim=*/0, /*descending=*/true));  // [n]
  const torch::Tensor queue = experts.index_select(0, order).t().reshape({-1});  // choice-major
  const torch::Tensor place =
      torch::one_hot(queue, count).cumsum(0).gather(1, queue.unsqueeze(1)).squeeze(1) - 1;
  const torch::Tensor kept = torch::where(place < capacity, queue, torch::full_like(queue, -1));
  return torch::empty_like(experts).index_copy_(0, order, kept.view({k, n}).t());
}

NoisyTopKRouter::NoisyTopKRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
  noise = register_module("noise", RouterLogits(given));
}

Routing NoisyTopKRouter::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = Tokens(x);
  Routing routing{.logits = logits(tokens)};
  torch::Tensor selected = routing.logits;
  if (is_training()) {
    const torch::Tensor sigma = torch::softplus(noise(tokens)) + kLeastNoise;
    selected = routing.logits + torch::randn_like(sigma) * sigma;
    routing.smooth_load = SmoothLoad(routing.logits, selected, sigma, options.top_k);
  }
  routing.probabilities = selected.softmax(-1);
  const TopK top = SelectTopK(selected, options.top_k);
  routing.assignment = {.experts = top.indices, .weights = top.values.softmax(-1)};
  return routing;
}

VMoeRouter::VMoeRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
}

Routing VMoeRouter::forward(const torch::Tensor& x) {
  Routing routing{.logits = logits(Tokens(x))};
  const int64_t n = routing.logits.size(0);
  torch::Tensor selected = routing.logits;
  if (is_training()) {
    const torch::Tensor sigma =
        torch::full({1, 1}, 1.0 / static_cast<double>(options.experts), selected.options());
    selected = routing.logits + torch::randn_like(selected) * sigma;
    routing.smooth_load = SmoothLoad(routing.logits, selected, sigma, options.top_k);
  }
  routing.probabilities = selected.softmax(-1);
  routing.assignment = ChooseTopK(routing.probabilities, options.top_k, /*renormalise=*/false);
  if (options.kind == RouterKind::kVMoeBpr && n > 0) {
    const auto places =
        static_cast<int64_t>(std::ceil(static_cast<double>(options.top_k * n) * options.capacity /
                                       static_cast<double>(options.experts)));
    Assignment& chosen = routing.assignment;
    const torch::Tensor largest = chosen.weights.detach().select(1, 0);  // [n]
    chosen.experts = KeepWithinCapacity(chosen.experts, largest, options.experts, places);
    chosen.weights = chosen.weights * chosen.experts.ge(0).to(chosen.weights.scalar_type());
  }
  return routing;
}

}  // namespace orchard::nets
