#include "training/studies/vit_moe/model.h"

#include "training/recipe.h"
#include "training/studies/vit_moe/statements.h"

namespace orchard::training {

VitMoeModel::VitMoeModel(nets::Vit network, const v1::Recipe& recipe)
    : network_(std::move(network)),
      standardise_(PreprocessingOf(recipe), network_->parameters().front().device()),
      weights_(RouterWeightsOf(recipe.vit_moe())),
      classifier_(*network_, [this](const torch::Tensor& pixels) { return Forward(pixels); },
                  {.rate = recipe.optimisation().head_rate(),
                   .label_smoothing = recipe.vit_moe().label_smoothing(),
                   .smoothing = SmoothingOf(recipe.vit_moe()),
                   .undecayed = recipe.vit_moe().decays_all()
                                    ? std::vector<std::string>{}
                                    : std::vector<std::string>{"cls_token", "pos_embed"},
                   .auxiliary = [this] { return network_->Terms(last_, weights_); },
                   .decays_all = recipe.vit_moe().decays_all()}) {}

torch::Tensor VitMoeModel::Forward(const torch::Tensor& pixels) {
  last_ = network_->forward(standardise_(pixels).contiguous());
  return last_.logits;
}

void VitMoeModel::FinishBackward() {
  const std::vector<nets::TokenRouterImpl*> routers = network_->Routers();
  for (size_t i = 0; i < last_.routing.size(); ++i) {
    if (routers[i]->options.kind != nets::RouterKind::kLossFree) continue;
    routers[i]->Balance(
        nets::LoadShares(last_.routing[i].assignment.experts, routers[i]->options.experts));
  }
  last_ = {};  // Its graph holds the activations.
}

}  // namespace orchard::training
