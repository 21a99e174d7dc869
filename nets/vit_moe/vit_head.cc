#include "nets/vit_moe/vit_head.h"

#include "nets/vit_moe/vit_network.h"

namespace orchard::nets {

VitHead::VitHead(const v1::VitMoe& network, const HeadArgs& args) {
  VitOptions options = OptionsOf(network, args.classes);
  options.dropout = args.dropout;
  vit = register_module("vit", Vit(options));
}

torch::Tensor VitHead::forward(const torch::Tensor& x) {
  const VitOutput output = vit->forward(x);
  if (counting_ && !output.routing.empty()) {
    const RouterOptions& router = vit->Routers().front()->options;
    tally_.Add(output.routing, router.experts, router.top_k, x.size(0));
  }
  return output.logits;
}

}  // namespace orchard::nets
