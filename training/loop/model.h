#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/losses.h"
#include "training/data/batch.h"
#include "training/loop/optimiser.h"

namespace orchard::training {

/// A loss as the sum of its named terms: Σ weight · value / divisor.
class LossTerms {
 public:
  /// `divisor`: by which the whole is divided, for terms that are sums over the pictures of a
  /// batch.
  explicit LossTerms(double divisor = 1.0) : divisor_(divisor) {}

  /// An undefined value (nothing in the batch concerns the term) adds nothing.
  void Add(std::string name, double weight, torch::Tensor value);

  /// What backward() is called on. At least one term was added.
  torch::Tensor Total() const;

  /// Each term's value / divisor, without its weight.
  std::vector<std::pair<std::string, double>> Values() const;

 private:
  double divisor_;
  std::vector<nets::LossTerm> terms_;
};

/// A network as the loop trains it. What it is made of, the loop doesn't know.
class Model {
 public:
  virtual ~Model() = default;

  virtual torch::nn::Module& module() = 0;

  /// The loss of a batch, with its graph. Errors: INVALID_ARGUMENT for a batch of another task.
  virtual absl::StatusOr<LossTerms> Loss(const Batch& batch) = 0;

  /// Called after backward(): for gradients that the graph of the loss ends before.
  virtual void FinishBackward() {}

  /// What is trained, with the peak of each rate.
  virtual std::vector<TrainedParameter> Parameters() = 0;

  /// Before each step, and before it is measured.
  virtual void TrainMode() { module().train(); }
  virtual void EvalMode() { module().eval(); }
};

}  // namespace orchard::training
