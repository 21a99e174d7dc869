#include "training/loop/average.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "core/status.h"
#include "training/loop/checkpoint.h"

namespace orchard::training {

WeightAverage::WeightAverage(std::vector<TrainedParameter> parameters, double decay, StepWay way)
    : parameters_(std::move(parameters)), decay_(decay), together_(Together(way, parameters_)) {
  for (const TrainedParameter& parameter : parameters_) {
    average_.push_back(parameter.value.detach().clone());
  }
}

void WeightAverage::Update() {
  const torch::NoGradGuard guard;
  const auto t = static_cast<double>(steps_++);
  const double keep = std::min(decay_, (t + 1.0) / (t + 10.0));
  if (together_) {
    std::vector<torch::Tensor> values;
    for (const TrainedParameter& parameter : parameters_) values.push_back(parameter.value);
    at::_foreach_mul_(average_, keep);
    at::_foreach_add_(average_, values, 1.0 - keep);
    return;
  }
  for (size_t i = 0; i < average_.size(); ++i) {
    average_[i].lerp_(parameters_[i].value, 1.0 - keep);
  }
}

void WeightAverage::Swap() {
  const torch::NoGradGuard guard;
  for (size_t i = 0; i < average_.size(); ++i) {
    const torch::Tensor weights = parameters_[i].value.clone();
    parameters_[i].value.copy_(average_[i]);
    average_[i].copy_(weights);
  }
}

std::map<std::string, torch::Tensor> WeightAverage::State() const {
  std::map<std::string, torch::Tensor> state;
  for (size_t i = 0; i < average_.size(); ++i) state[parameters_[i].name] = average_[i];
  state["steps"] = torch::tensor({steps_}, torch::kLong);
  return state;
}

absl::Status WeightAverage::Load(const std::map<std::string, torch::Tensor>& state) {
  ORCHARD_RETURN_IF_ERROR(CheckShapes(state, State()));
  const torch::NoGradGuard guard;
  for (size_t i = 0; i < average_.size(); ++i) average_[i].copy_(state.at(parameters_[i].name));
  steps_ = state.at("steps").item<int64_t>();
  return absl::OkStatus();
}

}  // namespace orchard::training
