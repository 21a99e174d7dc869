#pragma once

#include <memory>

#include "nets/vit_moe/vit_moe.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/classifier.h"
#include "training/loop/standardise.h"

namespace orchard::training {

/// A ViT-MoE as the loop trains it: cross-entropy of pixels' logits, and the routers' terms, each
/// under its own name. Class token and positions are not decayed unless everything is.
class VitMoeModel final : public Model {
 public:
  VitMoeModel(nets::Vit network, const v1::Recipe& recipe);

  torch::nn::Module& module() override { return *network_; }
  absl::StatusOr<LossTerms> Loss(const Batch& batch) override { return classifier_.Loss(batch); }
  /// Also lets the routers whose balance is no gradient (loss-free) move.
  void FinishBackward() override;
  std::vector<TrainedParameter> Parameters() override { return classifier_.Parameters(); }

 private:
  torch::Tensor Forward(const torch::Tensor& pixels);

  nets::Vit network_;
  Standardise standardise_;
  nets::RouterLossWeights weights_;
  nets::VitOutput last_;  // Of the last Forward.
  Classifier classifier_;
};

}  // namespace orchard::training
