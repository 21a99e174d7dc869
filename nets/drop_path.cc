#include "nets/drop_path.h"

#include <vector>

#include <torch/nn.h>

namespace orchard::nets {

torch::Tensor DropPath(const torch::Tensor& x, double rate, bool training) {
  if (!training || rate <= 0.0) return x;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  const double keep = 1.0 - rate;
  return x * (torch::empty(shape, x.options()).bernoulli_(keep) / keep);
}

}  // namespace orchard::nets
