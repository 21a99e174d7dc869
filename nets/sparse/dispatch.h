#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/types.h>

/// \file
/// Tokens to the experts that were chosen for them and back: dropless, without capacity or padding.
/// Source: models.md section 9 (as in MegaBlocks, arXiv:2211.15841).
///
///   x [n, D] ─ gather, sorted by expert, then by token ─ expert e on its slice ─ combine ─► y [n,
///   D']
///
/// Autograd passes through exactly; an expert without tokens isn't called, so that its parameters
/// get no gradient at all (undefined, not zero). A token's result doesn't depend on which other
/// tokens there are, but for the last bits that matrix products of another size may change.

namespace orchard::nets {

/// Which experts each token takes, and how much of each.
struct Assignment {
  torch::Tensor experts;  ///< [n, K] int64 in [0, E); -1: this place is empty
  torch::Tensor weights;  ///< [n, K], floating; empty places must weigh 0
};

/// The k largest of each row in descending order.
struct TopK {
  torch::Tensor values;   ///< [n, k], differentiable
  torch::Tensor indices;  ///< [n, k] int64
};

/// Ties go to the lower index, which torch::topk does not promise. scores [n, E], 1 ≤ k ≤ E.
TopK SelectTopK(const torch::Tensor& scores, int64_t k);

/// Rows [m, D] of the tokens of `expert` → [m, D'].
using ExpertFunction = std::function<torch::Tensor(int64_t expert, const torch::Tensor& rows)>;

enum class Combine : std::uint8_t {
  kOrdered,   ///< sums a token's K results in the order of its choices: the same bits every time
  kIndexAdd,  ///< less memory; on CUDA the order of summation is free
};

struct DispatchOptions {
  Combine combine = Combine::kOrdered;
  /// Rows of every call of an expert, padded with zeros; 0: as many as there are. With a fixed size
  /// every matrix product has one shape, and a row's bits don't depend on who is beside it. They
  /// may on its place in the tile: some kernels (OpenBLAS's for Haswell and Zen) take the last rows
  /// of a product another way than the first.
  int64_t tile = 0;
};

/// y_t = Σ_k weights[t, k] · expert(experts[t, k])(x_t). x [n, D], any strides, n ≥ 0. A token
/// without any expert gives zeros. `width` is D', needed for a batch of which no token has one.
torch::Tensor Dispatch(const torch::Tensor& x, const Assignment& assignment, int64_t experts,
                       int64_t width, const ExpertFunction& expert,
                       const DispatchOptions& options = {});

/// The same by running every expert on every token: what Dispatch is held to. E times the work.
torch::Tensor DispatchDense(const torch::Tensor& x, const Assignment& assignment, int64_t experts,
                            const ExpertFunction& expert);

/// [n, E]: the weight of every expert, 0 for those not chosen. Differentiable.
torch::Tensor FullWeights(const Assignment& chosen, int64_t experts);

/// [E] int64 on the host: the tokens of each expert.
std::vector<int64_t> CountTokens(const torch::Tensor& experts, int64_t count);

}  // namespace orchard::nets
