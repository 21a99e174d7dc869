#include "nets/tail.h"

#include "nets/mobilenet_v2.h"

namespace orchard::nets {

void TailHead::RegisterEnd(const HeadArgs& args) {
  project =
      register_module("project", ConvBnRelu6(ConvOptions{.in = kMapChannels, .out = kPooledWidth}));
  dropout = register_module("dropout", torch::nn::Dropout(args.dropout));
  classify = register_module("classify", Dense(kPooledWidth, args.classes));
}

torch::Tensor TailHead::End(const torch::Tensor& y) {
  const torch::Tensor top = project->forward(y);                            // [N, 1280, 7, 7]
  return classify(dropout(top.mean({2, 3}, /*keepdim=*/true))).flatten(1);  // [N, classes]
}

void TailHead::InitialiseFrom(torch::nn::Module& last_block) {
  const torch::NoGradGuard guard;
  const auto source = last_block.named_parameters();
  for (auto& parameter : project->named_parameters()) {
    parameter.value().copy_(source[parameter.key()]);
  }
  const auto statistics = last_block.named_buffers();
  for (auto& buffer : project->named_buffers()) buffer.value().copy_(statistics[buffer.key()]);
}

}  // namespace orchard::nets
