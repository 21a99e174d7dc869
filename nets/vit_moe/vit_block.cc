#include "nets/vit_moe/vit_block.h"

#include <torch/nn.h>

#include "nets/drop_path.h"

namespace orchard::nets {
namespace {

torch::nn::LayerNorm Norm(int64_t width) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-5));
}

AttentionOptions AttentionOf(const VitOptions& options) {
  return {.width = options.width,
          .heads = options.heads,
          .dropout = options.dropout,
          .attention_dropout = options.attention_dropout,
          .multiplied_scale = options.mode == VitMode::kParity};
}

TokenRouter RouterOf(const VitOptions& options) {
  RouterOptions router = options.router;
  router.width = options.width;
  if (options.mode == VitMode::kParity) router.kind = RouterKind::kCosineToken;
  return *MakeTokenRouter(router);  // Faults(options) has asked Faults(router).
}

TokenLayer LayerOf(const VitOptions& options) {
  switch (options.layer) {
    case VitLayer::kDense:
      return std::make_shared<DenseFfn>(options.width, options.hidden, options.dropout);
    case VitLayer::kSoft:
      return std::make_shared<SoftFfn>(options.width, options.router.experts, options.slots_each,
                                       options.hidden, options.dropout);
    case VitLayer::kModulated: {
      FmeOptions fme = options.fme;
      fme.width = options.width;
      fme.hidden = options.hidden;
      fme.dropout = options.dropout;
      return std::make_shared<ModulatedFfn>(RouterOf(options), fme);
    }
    case VitLayer::kExperts:
      break;
  }
  return std::make_shared<SparseFfn>(RouterOf(options), options.hidden, options.dropout);
}

}  // namespace

TransformerBlockImpl::TransformerBlockImpl(const VitOptions& options) {
  norm1 = register_module("norm1", Norm(options.width));
  attn = register_module("attn", SelfAttention(AttentionOf(options)));
  norm2 = register_module("norm2", Norm(options.width));
  mlp = register_module("mlp", Ffn(options.width, options.hidden, options.dropout));
}

torch::Tensor TransformerBlockImpl::forward(const torch::Tensor& x) {
  const torch::Tensor attended = x + attn(norm1(x));
  return attended + mlp(norm2(attended));
}

ParityBlockImpl::ParityBlockImpl(const VitOptions& options)
    : router(RouterOf(options)), drop_path_(options.drop_path) {
  register_module("router", router);
  torch::nn::ModuleList list;
  for (int64_t e = 0; e < options.router.experts; ++e) list->push_back(TransformerBlock(options));
  experts = register_module("experts", list);
}

TokenLayerOutput ParityBlockImpl::forward(const torch::Tensor& x) {
  TokenLayerOutput output{.routing = router->forward(x)};  // On the stream itself: defect A3.
  const torch::Tensor weights = FullWeights(output.routing.assignment, router->options.experts)
                                    .to(x.scalar_type())
                                    .view({x.size(0), x.size(1), -1});  // [B, T, E]
  torch::Tensor sum = torch::zeros_like(x);
  for (size_t e = 0; e < experts->size(); ++e) {  // All on all tokens: defect A4.
    const auto index = static_cast<int64_t>(e);
    sum =
        sum + weights.narrow(2, index, 1) * experts->ptr(e)->as<TransformerBlockImpl>()->forward(x);
  }
  output.y = x + DropPath(sum, drop_path_, is_training());  // x for the second time: defect A2.
  return output;
}

CorrectedBlockImpl::CorrectedBlockImpl(const VitOptions& options, double drop_path)
    : mlp(LayerOf(options)), drop_path_(drop_path) {
  norm1 = register_module("norm1", Norm(options.width));
  attn = register_module("attn", SelfAttention(AttentionOf(options)));
  norm2 = register_module("norm2", Norm(options.width));
  register_module("mlp", mlp);
}

TokenLayerOutput CorrectedBlockImpl::forward(const torch::Tensor& x) {
  const torch::Tensor attended = x + DropPath(attn(norm1(x)), drop_path_, is_training());
  TokenLayerOutput output = mlp->forward(norm2(attended));
  output.y = attended + DropPath(output.y, drop_path_, is_training());
  return output;
}

}  // namespace orchard::nets
