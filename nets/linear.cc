#include "nets/linear.h"

#include "nets/conv_bn.h"
#include "nets/mobilenet_v2.h"

namespace orchard::nets {

LinearHead::LinearHead(const HeadArgs& args) {
  dropout = register_module("dropout", torch::nn::Dropout(args.dropout));
  classify = register_module("classify", Dense(kPooledWidth, args.classes));
}

torch::Tensor LinearHead::forward(const torch::Tensor& pooled) {
  return classify(AsPixels(dropout(pooled))).flatten(1);  // [N, classes]
}

}  // namespace orchard::nets
