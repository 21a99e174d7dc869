#include "nets/sparse/uncertain_router.h"

#include <torch/torch.h>

namespace orchard::nets {
namespace {

constexpr double kLeastDeviation = 1e-3;
constexpr double kLeastVariance = 1e-5;

}  // namespace

UncertainRouter::UncertainRouter(const RouterOptions& given) : TokenRouterImpl(given) {
  logits = register_module("logits", RouterLogits(given));
  const double keep = 1.0 - given.pass_dropout;
  masks = register_buffer("masks",
                          torch::bernoulli(torch::full({given.passes, given.width}, keep)) / keep);
}

torch::Tensor UncertainRouter::Passes(const torch::Tensor& tokens) {
  const int64_t n = tokens.size(0);
  torch::Tensor dropped;  // [M, n, D]
  if (is_training()) {
    dropped = torch::dropout(tokens.unsqueeze(0).expand({options.passes, -1, -1}),
                             options.pass_dropout, /*train=*/true);
  } else {
    dropped = tokens.unsqueeze(0) * masks.to(tokens.scalar_type()).unsqueeze(1);
  }
  return logits(dropped.reshape({-1, options.width}))
      .view({options.passes, n, options.experts})
      .softmax(-1);
}

PassStatistics StatisticsOf(const torch::Tensor& passes) {
  const torch::Tensor mean = passes.mean(0);
  const torch::Tensor apart = (passes - mean).permute({1, 2, 0});  // [n, E, M]
  const auto freedom = static_cast<double>(passes.size(0) - 1);
  return {.mean = mean, .covariance = torch::matmul(apart, apart.transpose(1, 2)) / freedom};
}

torch::Tensor Normalise(const PassStatistics& statistics, UncertaintyMode mode) {
  if (mode == UncertaintyMode::kInvStd) {
    const torch::Tensor deviation =
        statistics.covariance.detach().diagonal(0, 1, 2).clamp_min(0.0).sqrt();
    const torch::Tensor scaled = statistics.mean / (deviation + kLeastDeviation);
    return scaled / scaled.sum(-1, /*keepdim=*/true);
  }
  if (mode == UncertaintyMode::kWhiten) {
    const torch::Tensor s = statistics.covariance.detach();
    const auto [values, vectors] =
        torch::linalg_eigh(s + kLeastVariance * torch::eye(s.size(-1), s.options()));
    const torch::Tensor whitening =
        torch::matmul(vectors * values.clamp_min(kLeastVariance).rsqrt().unsqueeze(-2),
                      vectors.transpose(-1, -2));  // [n, E, E]
    return torch::matmul(whitening, statistics.mean.unsqueeze(-1)).squeeze(-1).softmax(-1);
  }
  return statistics.mean;
}

Routing UncertainRouter::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = Tokens(x);
  Routing routing{.logits = logits(tokens)};
  const bool once = options.mode == UncertaintyMode::kOff ||
                    (options.mode == UncertaintyMode::kMean && !is_training());
  if (once) {
    routing.probabilities = routing.logits.softmax(-1);
  } else {
    const PassStatistics statistics = StatisticsOf(Passes(tokens));
    routing.probabilities = Normalise(statistics, options.mode);
    routing.uncertainty = statistics.covariance.detach().diagonal(0, 1, 2).sum(-1);  // tr S, [n]
  }
  routing.assignment = ChooseTopK(routing.probabilities, options.top_k, /*renormalise=*/true);
  return routing;
}

}  // namespace orchard::nets
