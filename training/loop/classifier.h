#pragma once

#include <functional>
#include <string>
#include <vector>

#include <torch/nn.h>

#include "nets/losses.h"
#include "training/loop/model.h"

namespace orchard::training {

/// Any network that gives one row of logits a picture, trained by cross-entropy.
class Classifier final : public Model {
 public:
  using Forward = std::function<torch::Tensor(const torch::Tensor&)>;

  struct Options {
    double rate = 1e-3;            ///< peak, of every parameter
    double label_smoothing = 0.0;  ///< ε of nets::SmoothTargets
    nets::Smoothing smoothing = nets::Smoothing::kUniform;
    std::vector<std::string> undecayed = {};  ///< beginnings of names that weight decay is not for
    /// Added to the loss, by name: balance of routers and the like. Called after `forward`.
    std::function<std::vector<nets::LossTerm>()> auxiliary = {};
    bool decays_all = false;  ///< weight decay is for every parameter, whatever its shape
  };

  /// `forward`: pixels uint8 [N, side, side, 3] (or the batch's first feature) → logits [N, C]; it
  /// calls `module`, which outlives it. A label's index among C is its own: one domain.
  Classifier(torch::nn::Module& module, Forward forward, Options options);

  torch::nn::Module& module() override { return module_; }
  absl::StatusOr<LossTerms> Loss(const Batch& batch) override;
  std::vector<TrainedParameter> Parameters() override;

 private:
  torch::nn::Module& module_;
  Forward forward_;
  Options options_;
};

/// Mean over the rows of -Σ target · log softmax(logits), each row times its weight, divided by the
/// sum of the weights. `logits` [N, C]; `targets` [N, C]; `weights` [N] or undefined: 1 each.
torch::Tensor SoftCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets,
                               const torch::Tensor& weights);

}  // namespace orchard::training
