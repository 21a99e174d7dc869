#include "nets/sparse/token_router.h"

#include "absl/strings/str_join.h"
#include <torch/torch.h>

#include "nets/range_fault.h"
#include "nets/sparse/choice_routers.h"
#include "nets/sparse/noisy_routers.h"
#include "nets/sparse/plain_routers.h"
#include "nets/sparse/uncertain_router.h"

namespace orchard::nets {

std::string_view NameOf(RouterKind kind) {
  switch (kind) {
    case RouterKind::kLinear:
      return "linear";
    case RouterKind::kCosineToken:
      return "cosine-token";
    case RouterKind::kSwitch:
      return "switch";
    case RouterKind::kNoisyTopK:
      return "noisy-topk";
    case RouterKind::kVMoe:
      return "vmoe";
    case RouterKind::kVMoeBpr:
      return "vmoe-bpr";
    case RouterKind::kExpertChoice:
      return "expert-choice";
    case RouterKind::kLossFree:
      return "loss-free";
    case RouterKind::kMlp:
      return "mlp";
    case RouterKind::kCrossAttention:
      return "cross-attention";
    case RouterKind::kUncertain:
      return "uncertain";
  }
  return "unknown";
}

std::vector<std::string> Faults(const RouterOptions& options) {
  std::vector<std::string> faults;
  RequireWithin(1, 1 << 16, "router width", options.width, faults);
  RequireWithin(2, 1024, "experts", options.experts, faults);
  RequireWithin(1, options.experts, "top_k", options.top_k, faults);
  RequireShare(0.0, 0.5, "router jitter", options.jitter, faults);
  if (options.kind == RouterKind::kSwitch) {
    RequireWithin(1, 1, "top_k of router switch", options.top_k, faults);
  }
  if (options.kind == RouterKind::kVMoeBpr) {
    RequireShare(0.1, 16.0, "router capacity", options.capacity, faults);
  }
  if (options.kind == RouterKind::kExpertChoice) {
    RequireShare(0.1, static_cast<double>(options.experts), "router choices", options.choices,
                 faults);
  }
  if (options.kind == RouterKind::kLossFree) {
    RequireShare(0.0, 1.0, "router bias_step", options.bias_step, faults);
  }
  if (options.kind == RouterKind::kMlp) {
    RequireWithin(1, 4096, "router hidden", options.hidden, faults);
  }
  if (options.kind == RouterKind::kCrossAttention) {
    RequireWithin(1, 64, "router heads", options.heads, faults);
    Require(options.heads < 1 || options.width % options.heads == 0, "router heads", options.heads,
            absl::StrCat("a divisor of the width ", options.width), faults);
  }
  if (options.kind == RouterKind::kUncertain) {
    RequireWithin(2, 64, "router passes", options.passes, faults);
    RequireShare(0.0, 0.9, "router pass_dropout", options.pass_dropout, faults);
  }
  return faults;
}

torch::Tensor TokenRouterImpl::Tokens(const torch::Tensor& x) const {
  torch::Tensor tokens = x.reshape({-1, x.size(-1)});
  if (tokens.scalar_type() != torch::kFloat64) tokens = tokens.to(torch::kFloat32);
  if (!is_training() || options.jitter == 0.0) return tokens;
  return tokens * torch::empty_like(tokens).uniform_(1.0 - options.jitter, 1.0 + options.jitter);
}

absl::StatusOr<TokenRouter> MakeTokenRouter(const RouterOptions& options) {
  if (const auto faults = Faults(options); !faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  TokenRouter router;
  switch (options.kind) {
    case RouterKind::kLinear:
    case RouterKind::kCosineToken:
    case RouterKind::kSwitch:
    case RouterKind::kMlp:
    case RouterKind::kCrossAttention:
      router = std::make_shared<PlainRouter>(options);
      break;
    case RouterKind::kLossFree:
      router = std::make_shared<LossFreeRouter>(options);
      break;
    case RouterKind::kNoisyTopK:
      router = std::make_shared<NoisyTopKRouter>(options);
      break;
    case RouterKind::kVMoe:
    case RouterKind::kVMoeBpr:
      router = std::make_shared<VMoeRouter>(options);
      break;
    case RouterKind::kExpertChoice:
      router = std::make_shared<ExpertChoiceRouter>(options);
      break;
    case RouterKind::kUncertain:
      router = std::make_shared<UncertainRouter>(options);
      break;
  }
  return router;
}

}  // namespace orchard::nets
