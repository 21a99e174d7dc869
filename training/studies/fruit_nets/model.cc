#include "training/studies/fruit_nets/model.h"

#include <utility>

namespace orchard::training {

FruitNetModel::FruitNetModel(nets::FruitNet network, const v1::Recipe& recipe)
    : network_(std::move(network)),
      input_(network_, recipe),
      trunk_rate_(recipe.fruit_nets().pretrained() ? recipe.optimisation().encoder_rate()
                                                   : recipe.optimisation().head_rate()),
      classifier_(*network_, [this](const torch::Tensor& input) { return input_.Logits(input); },
                  {.rate = recipe.optimisation().head_rate(),
                   .label_smoothing = recipe.fruit_nets().label_smoothing()}) {
  const bool learns = !recipe.fruit_nets().frozen_trunk();
  for (torch::Tensor& parameter : network_->trunk->parameters()) {
    parameter.set_requires_grad(learns);
  }
}

std::vector<TrainedParameter> FruitNetModel::Parameters() {
  std::vector<TrainedParameter> parameters = classifier_.Parameters();
  for (TrainedParameter& parameter : parameters) {
    if (parameter.name.starts_with("trunk.")) parameter.rate = trunk_rate_;
  }
  return parameters;
}

}  // namespace orchard::training
