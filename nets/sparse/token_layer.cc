#include "nets/sparse/token_layer.h"

#include <torch/torch.h>

#include "nets/sparse/every_expert.h"

namespace orchard::nets {
namespace {

torch::nn::ModuleList MakeExperts(int64_t count, int64_t width, int64_t hidden, double dropout) {
  torch::nn::ModuleList list;
  for (int64_t e = 0; e < count; ++e) list->push_back(Ffn(width, hidden, dropout));
  return list;
}

torch::Tensor RunFfn(torch::nn::ModuleList& experts, int64_t e, const torch::Tensor& rows) {
  return experts->ptr(static_cast<size_t>(e))->as<FfnImpl>()->forward(rows);
}

}  // namespace

FfnImpl::FfnImpl(int64_t width, int64_t hidden, double dropout) {
  fc1 = register_module("fc1", torch::nn::Linear(width, hidden));
  fc2 = register_module("fc2", torch::nn::Linear(hidden, width));
  drop = register_module("drop", torch::nn::Dropout(dropout));
}

torch::Tensor FfnImpl::forward(const torch::Tensor& x) { return drop(fc2(torch::gelu(fc1(x)))); }

DenseFfn::DenseFfn(int64_t width, int64_t hidden, double dropout) {
  ffn = register_module("ffn", Ffn(width, hidden, dropout));
}

TokenLayerOutput DenseFfn::forward(const torch::Tensor& x) { return {.y = ffn(x), .routing = {}}; }

SparseFfn::SparseFfn(TokenRouter given, int64_t hidden, double dropout, DispatchOptions how)
    : router(std::move(given)), dispatch(how) {
  register_module("router", router);
  experts = register_module(
      "experts", MakeExperts(router->options.experts, router->options.width, hidden, dropout));
}

torch::Tensor RunTogether(const torch::nn::ModuleList& experts, const torch::Tensor& x,
                          const torch::Tensor& weights) {
  std::vector<torch::Tensor> in, in_bias, out, out_bias;
  for (size_t e = 0; e < experts->size(); ++e) {
    const auto* ffn = experts->ptr(e)->as<FfnImpl>();
    in.push_back(ffn->fc1->weight);      // [M, D]
    in_bias.push_back(ffn->fc1->bias);   // [M]
    out.push_back(ffn->fc2->weight);     // [D, M]
    out_bias.push_back(ffn->fc2->bias);  // [D]
  }
  const auto count = static_cast<int64_t>(experts->size());
  const torch::Tensor hidden =
      torch::gelu(torch::linear(x, torch::cat(in), torch::cat(in_bias)));  // [n, E M]
  const torch::Tensor weighed = hidden.view({x.size(0), count, -1}) *
                                weights.to(hidden.scalar_type()).unsqueeze(-1);  // [n, E, M]
  const torch::Tensor y = torch::linear(weighed.view_as(hidden), torch::cat(out, 1));
  const torch::Tensor sum =
      y + torch::matmul(weights.to(y.scalar_type()), torch::stack(out_bias).to(y.scalar_type()));
  return experts->ptr(0)->as<FfnImpl>()->drop(sum);
}

TokenLayerOutput SparseFfn::forward(const torch::Tensor& x) {
  TokenLayerOutput output{.y = {}, .routing = router->forward(x)};
  const torch::Tensor tokens = x.reshape({-1, x.size(-1)});  // [n, D]
  const bool apart = x.device().is_cpu() && !EveryExpert::Wanted();
  if (way == ExpertWay::kTogether || (way == ExpertWay::kByDevice && !apart)) {
    output.y = RunTogether(experts, tokens,
                           FullWeights(output.routing.assignment, router->options.experts))
                   .view(x.sizes());
    return output;
  }
  const auto expert = [this](int64_t e, const torch::Tensor& rows) {
    return RunFfn(experts, e, rows);
  };
  output.y = Dispatch(tokens, output.routing.assignment, router->options.experts, x.size(-1),
                      expert, dispatch)
                 .view(x.sizes());
  return output;
}

SoftFfn::SoftFfn(int64_t width, int64_t count, int64_t slots_each, int64_t hidden, double dropout) {
  router = register_module("router", SoftRouter(width, count, slots_each));
  experts = register_module("experts", MakeExperts(count, width, hidden, dropout));
}

TokenLayerOutput SoftFfn::forward(const torch::Tensor& x) {
  const SoftRouting routing = router(x);                                           // [B, T, S]
  const torch::Tensor slots = torch::matmul(routing.dispatch.transpose(1, 2), x);  // [B, S, D]
  const auto count = static_cast<int64_t>(experts->size());
  std::vector<torch::Tensor> results;
  const std::vector<torch::Tensor> by_expert = slots.chunk(count, 1);
  for (int64_t e = 0; e < count; ++e) {
    results.push_back(RunFfn(experts, e, by_expert[static_cast<size_t>(e)]));
  }
  return {.y = torch::matmul(routing.combine, torch::cat(results, 1)), .routing = {}};
}

torch::Tensor ExpertDistances(const torch::Tensor& outputs) {
  const torch::Tensor squares = outputs.square().sum(-1).mean(-1);  // [E]
  const torch::Tensor scale = 0.5 * (squares.unsqueeze(0) + squares.unsqueeze(1));
  std::vector<torch::Tensor> rows;
  for (int64_t e = 0; e < outputs.size(0); ++e) {
    rows.push_back((outputs - outputs[e]).square().sum(-1).mean(-1));  // [E]
  }
  return torch::stack(rows) / scale.clamp_min(1e-30);
}

}  // namespace orchard::nets
