#pragma once

#include "nets/sparse/plain_routers.h"

namespace orchard::nets {

/// M passes of a linear router under dropout of its input, their mean and their spread.
///
///   r^(m) = softmax(W dropout_m(x)), r̄ = mean, S = Σ (r^(m) - r̄)(r^(m) - r̄)ᵀ / (M - 1)
///
/// Then what UncertaintyMode says, and top K with renormalisation last (the paper's figure; the
/// released code selects first). Deviations from it, with reasons:
///   - outside training the M dropout masks are fixed ones, drawn when the module is made and
///   stored
///     as a buffer, so that an answer depends neither on the batch nor on a generator;
///   - spread and whitening are constants to the gradient: the square root of a variance of 0 and
///     the eigenvectors of a repeated eigenvalue have none (S has rank M - 1 at most).
/// The passes cost M·D·E multiply-adds. Source: models.md section 6.2 (Zhang et al., AAAI 2024).
struct UncertainRouter final : TokenRouterImpl {
  explicit UncertainRouter(const RouterOptions& given);
  Routing forward(const torch::Tensor& x) override;

  RouterLogits logits{nullptr};
  torch::Tensor masks;  ///< [M, D]: 0 or 1 / (1 - dropout)

 private:
  torch::Tensor Passes(const torch::Tensor& tokens);  ///< [n, D] → r [M, n, E]
};

/// Mean and unbiased covariance over the passes r [M, n, E]: [n, E] and [n, E, E].
struct PassStatistics {
  torch::Tensor mean, covariance;
};
PassStatistics StatisticsOf(const torch::Tensor& passes);

/// What `mode` makes of them: [n, E], rows sum to 1.
torch::Tensor Normalise(const PassStatistics& statistics, UncertaintyMode mode);

}  // namespace orchard::nets
