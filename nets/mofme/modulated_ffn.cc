#include "nets/mofme/modulated_ffn.h"

#include <cmath>

#include <torch/nn.h>

#include "nets/range_fault.h"

namespace orchard::nets {
namespace {

/// v [n, D] through the two factors of one expert's map: U (V v).
torch::Tensor LowRank(const torch::Tensor& up, const torch::Tensor& down, const torch::Tensor& v) {
  return torch::matmul(torch::matmul(v, down.t()), up.t());
}

}  // namespace

std::string_view NameOf(FmeKind kind) {
  switch (kind) {
    case FmeKind::kStatic:
      return "static";
    case FmeKind::kCond:
      return "cond";
    case FmeKind::kLowRank:
      return "lowrank";
    case FmeKind::kHidden:
      return "hidden";
    case FmeKind::kAfter:
      return "after";
  }
  return "unknown";
}

std::vector<std::string> Faults(const FmeOptions& options) {
  std::vector<std::string> faults;
  RequireWithin(1, 1 << 16, "fme width", options.width, faults);
  RequireWithin(1, 1 << 16, "fme hidden", options.hidden, faults);
  RequireShare(0.0, 0.9, "fme dropout", options.dropout, faults);
  if (options.kind == FmeKind::kLowRank) {
    RequireWithin(1, options.width, "fme rank", options.rank, faults);
  }
  return faults;
}

int64_t ParameterCount(const FmeOptions& options, int64_t experts) {
  const int64_t d = options.width;
  const int64_t m = options.hidden;
  int64_t count = 2 * d * m + m + d + d * experts + experts;  // F and the router
  if (options.pre_transform) count += 2 * (d * d + d) + 2 * d;
  switch (options.kind) {
    case FmeKind::kStatic:
    case FmeKind::kAfter:
      return count + 2 * d * experts;
    case FmeKind::kCond:
      return count + experts * (2 * d * d + 2 * d);
    case FmeKind::kLowRank:
      return count + experts * (2 * d + 4 * d * options.rank);
    case FmeKind::kHidden:
      return count + 2 * m * experts;
  }
  return count;
}

int64_t MultiplyAdds(const FmeOptions& options, int64_t experts, int64_t top_k) {
  const int64_t d = options.width;
  int64_t count = 2 * d * options.hidden + d * experts;
  if (options.pre_transform) count += 2 * d * d;
  switch (options.kind) {
    case FmeKind::kStatic:
    case FmeKind::kAfter:
      return count + 2 * d * experts;
    case FmeKind::kCond:
      return count + top_k * 2 * d * d;
    case FmeKind::kLowRank:
      return count + 2 * d * experts + top_k * 4 * d * options.rank;
    case FmeKind::kHidden:
      return count + 2 * options.hidden * experts;
  }
  return count;
}

ModulatedFfn::ModulatedFfn(TokenRouter given, const FmeOptions& options)
    : router(std::move(given)), options_(options) {
  const int64_t d = options.width;
  const int64_t e = router->options.experts;
  register_module("router", router);
  ffn = register_module("ffn", Ffn(d, options.hidden, options.dropout));
  if (options.pre_transform) {
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({d})));
    l1 = register_module("l1", torch::nn::Linear(d, d));
    l2 = register_module("l2", torch::nn::Linear(d, d));
  }
  if (options.kind == FmeKind::kCond) {
    torch::nn::ModuleList maps;
    for (int64_t i = 0; i < e; ++i) {
      torch::nn::Linear map(d, 2 * d);
      const torch::NoGradGuard guard;
      map->weight.mul_(0.1);  // Near γ = 1, β = 0, and not equal for all experts.
      map->bias.zero_().narrow(0, 0, d).fill_(1.0);
      maps->push_back(map);
    }
    cond = register_module("cond", maps);
    return;
  }
  const int64_t place = options.kind == FmeKind::kHidden ? options.hidden : d;
  gamma = register_parameter("gamma", torch::ones({e, place}) + 0.02 * torch::randn({e, place}));
  beta = register_parameter("beta", 0.02 * torch::randn({e, place}));
  if (options.kind != FmeKind::kLowRank) return;
  const int64_t r = options.rank;
  const double small = 1.0 / std::sqrt(static_cast<double>(d));
  gamma_up = register_parameter("gamma_up", torch::zeros({e, d, r}));
  gamma_down = register_parameter("gamma_down", small * torch::randn({e, r, d}));
  beta_up = register_parameter("beta_up", torch::zeros({e, d, r}));
  beta_down = register_parameter("beta_down", small * torch::randn({e, r, d}));
}

torch::Tensor ModulatedFfn::Modulate(const torch::Tensor& tokens, const torch::Tensor& moved,
                                     const Assignment& chosen) {
  const int64_t d = options_.width;
  const int64_t e = router->options.experts;
  if (options_.kind == FmeKind::kCond || options_.kind == FmeKind::kLowRank) {
    // The chosen experts on their tokens: x makes γ and β, x~ is modulated.
    const auto expert = [&](int64_t i, const torch::Tensor& rows) {
      const torch::Tensor x = rows.narrow(1, 0, d);
      const torch::Tensor target = rows.narrow(1, d, d);
      if (options_.kind == FmeKind::kCond) {
        const auto parts =
            cond->ptr(static_cast<size_t>(i))->as<torch::nn::LinearImpl>()->forward(x).chunk(2, 1);
        return parts[0] * target + parts[1];
      }
      return LowRank(gamma_up[i], gamma_down[i], x) * target + LowRank(beta_up[i], beta_down[i], x);
    };
    const torch::Tensor mixed = Dispatch(torch::cat({tokens, moved}, 1), chosen, e, d, expert);
    if (options_.kind == FmeKind::kCond) return mixed;
    const torch::Tensor weights = FullWeights(chosen, e).to(moved.scalar_type());
    return mixed + torch::matmul(weights, gamma) * moved + torch::matmul(weights, beta);
  }
  const torch::Tensor weights = FullWeights(chosen, e).to(moved.scalar_type());  // [n, E]
  return torch::matmul(weights, gamma) * moved + torch::matmul(weights, beta);
}

TokenLayerOutput ModulatedFfn::forward(const torch::Tensor& x) {
  TokenLayerOutput output{.routing = router->forward(x)};
  const Assignment& chosen = output.routing.assignment;
  const torch::Tensor tokens = x.reshape({-1, options_.width});  // [n, D]
  torch::Tensor moved = tokens;
  if (options_.pre_transform) {
    const torch::Tensor normed = norm(tokens);
    moved = torch::gelu(l1(normed)) * l2(normed);
  }
  torch::Tensor y;
  if (options_.kind == FmeKind::kHidden) {
    y = ffn->drop(ffn->fc2(torch::gelu(Modulate(tokens, ffn->fc1(moved), chosen))));
  } else if (options_.kind == FmeKind::kAfter) {
    y = Modulate(tokens, ffn(moved), chosen);
  } else {
    y = ffn(Modulate(tokens, moved, chosen));
  }
  output.y = y.view(x.sizes());
  return output;
}

}  // namespace orchard::nets
