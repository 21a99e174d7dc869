#include "nets/serve/eager.h"

#include <utility>

#include "nets/guarded.h"

namespace orchard::nets {

EagerNet EagerNet::Make(torch::nn::Module& module, Forward forward) {
  module.eval();
  for (torch::Tensor& parameter : module.parameters()) parameter.set_requires_grad(false);
  return EagerNet(std::move(forward));
}

absl::StatusOr<std::vector<torch::Tensor>> EagerNet::Run(const torch::Tensor& input) const {
  return Guarded("running a network", [&]() -> absl::StatusOr<std::vector<torch::Tensor>> {
    const c10::InferenceMode guard;
    return forward_(input);
  });
}

}  // namespace orchard::nets
