#pragma once

#include <map>
#include <string>
#include <vector>

#include "training/loop/optimiser.h"

namespace orchard::training {

/// The exponential moving average of the trained weights; what is validated and exported. A network
/// whose statistics are learned too (BatchNorm) gives its buffers as well.
///
/// After step t (from 0): average ← d · average + (1 - d) · weights with
/// d = min(decay, (t + 1) / (t + 10)), so that the start is forgotten soon. With decay 0 it is the
/// weights themselves.
class WeightAverage {
 public:
  WeightAverage(std::vector<TrainedParameter> parameters, double decay,
                StepWay way = StepWay::kByDevice);

  void Update();

  /// Exchanges the network's weights and the average; twice gives the state before.
  void Swap();

  std::map<std::string, torch::Tensor> State() const;
  /// Errors: FAILED_PRECONDITION naming what is missing or has another shape.
  absl::Status Load(const std::map<std::string, torch::Tensor>& state);

 private:
  std::vector<TrainedParameter> parameters_;
  std::vector<torch::Tensor> average_;
  double decay_;
  int64_t steps_ = 0;
  bool together_;
};

/// Swaps the average in for a scope.
class Averaged {
 public:
  explicit Averaged(WeightAverage& average) : average_(average) { average_.Swap(); }
  ~Averaged() { average_.Swap(); }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  WeightAverage& average_;
};

}  // namespace orchard::training
