#include "nets/mlp.h"

#include "nets/conv_bn.h"
#include "nets/mobilenet_v2.h"

namespace orchard::nets {

MlpHead::MlpHead(const v1::Mlp& choices, const HeadArgs& args) {
  const int64_t width = choices.hidden();
  dropout = register_module("dropout", torch::nn::Dropout(args.dropout));
  hidden = register_module("hidden", Dense(kPooledWidth, width));
  classify = register_module("classify", Dense(width, args.classes));
}

torch::Tensor MlpHead::forward(const torch::Tensor& pooled) {
  const torch::Tensor h = torch::relu(hidden(AsPixels(dropout(pooled))));  // [N, hidden, 1, 1]
  return classify(dropout(h)).flatten(1);                                  // [N, classes]
}

}  // namespace orchard::nets
