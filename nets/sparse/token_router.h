#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/sparse/dispatch.h"

/// \file
/// Who goes where inside a network: routers of tokens (not the router process, which routes
/// pictures). Source: models.md sections 3.4 and 6.2. Router arithmetic is float32 at least, also
/// under autocast. Every choice gives ties to the lower index.

namespace orchard::nets {

enum class RouterKind : std::uint8_t {
  kLinear,          ///< W x + b, softmax, top K renormalised
  kCosineToken,     ///< x · e / √D, softmax, top K renormalised (S2; the name is its)
  kSwitch,          ///< softmax, top 1, not renormalised (arXiv:2101.03961)
  kNoisyTopK,       ///< learned noise while training, softmax of the kept K (arXiv:1701.06538)
  kVMoe,            ///< fixed noise while training, softmax, top K, not renormalised (2106.05974)
  kVMoeBpr,         ///< the same with capacity and priority: depends on the batch, experiments only
  kExpertChoice,    ///< every expert takes its best tokens (arXiv:2202.09368)
  kLossFree,        ///< top K of s + bias, weights from s, the bias balances (arXiv:2408.15664)
  kMlp,             ///< Linear, GELU, Linear in place of W x + b
  kCrossAttention,  ///< tokens attend to a learned embedding of each expert
  kUncertain,       ///< several passes with dropout: mean and spread (models.md section 6.2)
};

/// What the uncertainty-aware router does with its passes.
enum class UncertaintyMode : std::uint8_t {
  kOff,       ///< one pass without dropout
  kMean,      ///< mean of the passes while training, one pass without dropout otherwise
  kMeanTest,  ///< mean of the passes always
  kInvStd,    ///< mean / (1e-3 + standard deviation), renormalised
  kWhiten,    ///< softmax((S + 1e-5 I)^-½ mean), S the covariance of the passes; research only
};

struct RouterOptions {
  RouterKind kind = RouterKind::kLinear;
  int64_t width = 0;    ///< D, at least 1
  int64_t experts = 0;  ///< E, from 2 to 1,024
  int64_t top_k = 1;    ///< K, from 1 to E; kSwitch takes 1, kExpertChoice ignores it
  bool bias = true;     ///< of the last linear map; kCosineToken has none
  double jitter = 0.0;  ///< e of the input's factor U(1-e, 1+e) while training, from 0 to .5

  double capacity = 1.05;   ///< kVMoeBpr: places of an expert over the mean, from .1 to 16
  double choices = 2.0;     ///< kExpertChoice: experts a token has on average, from .1 to E
  bool by_picture = true;   ///< kExpertChoice: choose among one picture's tokens, not the batch's
  bool sigmoid = true;      ///< kLossFree: scores are sigmoids, else a softmax
  double bias_step = 1e-3;  ///< kLossFree: u of the bias's steps, from 0 to 1
  int64_t hidden = 64;      ///< kMlp: hidden width, from 1 to 4,096
  int64_t heads = 4;        ///< kCrossAttention: heads, a divisor of D
  UncertaintyMode mode = UncertaintyMode::kMean;  ///< kUncertain
  int64_t passes = 5;                             ///< kUncertain: M, from 2 to 64
  double pass_dropout = 0.1;                      ///< kUncertain: from 0 to .9
};

/// "linear", "cosine-token", … as recipes and reports say.
std::string_view NameOf(RouterKind kind);

/// What is wrong with `options`, one sentence each; empty: nothing.
std::vector<std::string> Faults(const RouterOptions& options);

/// What a router decided for n = B·T tokens. All but `assignment.experts` carry gradients.
struct Routing {
  torch::Tensor logits{};         ///< [n, E] float32, before noise and selection
  torch::Tensor probabilities{};  ///< [n, E] float32, non-negative: what was selected from
  Assignment assignment{};        ///< [n, K]; K = E for kExpertChoice
  torch::Tensor smooth_load{};    ///< [E], kNoisyTopK and kVMoe while training; else undefined
  torch::Tensor uncertainty{};    ///< [n], kUncertain: trace of S; else undefined
};

struct TokenRouterImpl : torch::nn::Module {
  explicit TokenRouterImpl(RouterOptions given) : options(given) {}

  /// x [B, T, D], B pictures of T tokens.
  virtual Routing forward(const torch::Tensor& x) = 0;

  /// After an optimiser's step, with the tokens of each expert [E] in it: kLossFree moves its bias.
  virtual void Balance(const torch::Tensor& /*load*/) {}

  /// The matrix that S2's penalty pulls to zero; undefined where there is no such one.
  virtual torch::Tensor ExpertEmbeddings() const { return {}; }

  RouterOptions options;

 protected:
  /// x [B, T, D] → [n, D] in float32 or better, with jitter while training.
  torch::Tensor Tokens(const torch::Tensor& x) const;
};
using TokenRouter = std::shared_ptr<TokenRouterImpl>;

/// Errors: INVALID_ARGUMENT with every sentence of Faults.
absl::StatusOr<TokenRouter> MakeTokenRouter(const RouterOptions& options);

}  // namespace orchard::nets
