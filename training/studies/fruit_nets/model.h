#pragma once

#include <vector>

#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/classifier.h"
#include "training/studies/fruit_nets/answers.h"

namespace orchard::training {

/// A network of the study as the loop trains it: cross-entropy of the logits of what FruitNetInput
/// reads. A pretrained trunk has a rate of its own; a frozen one is no parameter.
class FruitNetModel final : public Model {
 public:
  FruitNetModel(nets::FruitNet network, const v1::Recipe& recipe);

  torch::nn::Module& module() override { return *network_; }
  absl::StatusOr<LossTerms> Loss(const Batch& batch) override { return classifier_.Loss(batch); }
  std::vector<TrainedParameter> Parameters() override;

 private:
  nets::FruitNet network_;
  FruitNetInput input_;
  double trunk_rate_;
  Classifier classifier_;
};

}  // namespace orchard::training
