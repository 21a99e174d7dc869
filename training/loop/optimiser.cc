#include "training/loop/optimiser.h"

#include <cmath>

#include "core/status.h"
#include "training/loop/checkpoint.h"

namespace orchard::training {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;

}  // namespace

AdamW::AdamW(std::vector<TrainedParameter> parameters, double weight_decay)
    : parameters_(std::move(parameters)), weight_decay_(weight_decay) {
  for (TrainedParameter& parameter : parameters_) {
    parameter.rate = static_cast<double>(static_cast<float>(parameter.rate));  // As it is saved.
    moments_.push_back({.first = torch::zeros_like(parameter.value),
                        .second = torch::zeros_like(parameter.value)});
  }
}

double AdamW::ClipGradients(double limit) {
  const torch::NoGradGuard guard;
  double squares = 0.0;
  for (const TrainedParameter& parameter : parameters_) {
    if (!parameter.value.grad().defined()) continue;
    const double norm = parameter.value.grad().norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (norm <= limit) return norm;
  for (const TrainedParameter& parameter : parameters_) {
    if (parameter.value.grad().defined()) parameter.value.grad().mul_(limit / norm);
  }
  return norm;
}

void AdamW::Step(double factor) {
  const torch::NoGradGuard guard;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    TrainedParameter& parameter = parameters_[i];
    const torch::Tensor gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    auto& [first, second, steps] = moments_[i];
    const double rate = parameter.rate * factor;
    ++steps;
    if (parameter.decays) parameter.value.mul_(1.0 - rate * weight_decay_);
    first.mul_(kBeta1).add_(gradient, 1.0 - kBeta1);
    second.mul_(kBeta2).addcmul_(gradient, gradient, 1.0 - kBeta2);
    const double correction1 = 1.0 - std::pow(kBeta1, static_cast<double>(steps));
    const double correction2 = 1.0 - std::pow(kBeta2, static_cast<double>(steps));
    const torch::Tensor scale = (second.sqrt() / std::sqrt(correction2)).add_(kEpsilon);
    parameter.value.addcdiv_(first, scale, -rate / correction1);
    parameter.value.mutable_grad() = torch::Tensor();
  }
}

std::map<std::string, torch::Tensor> AdamW::State() const {
  std::map<std::string, torch::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    state["first." + name] = moments_[i].first;
    state["second." + name] = moments_[i].second;
    state["rate." + name] = torch::tensor({static_cast<float>(parameters_[i].rate)});
    state["steps." + name] = torch::tensor({moments_[i].steps}, torch::kLong);
  }
  return state;
}

absl::Status AdamW::Load(const std::map<std::string, torch::Tensor>& state) {
  ORCHARD_RETURN_IF_ERROR(CheckShapes(state, State()));
  const torch::NoGradGuard guard;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    moments_[i].first.copy_(state.at("first." + name));
    moments_[i].second.copy_(state.at("second." + name));
    parameters_[i].rate = state.at("rate." + name).item<double>();
    moments_[i].steps = state.at("steps." + name).item<int64_t>();
  }
  return absl::OkStatus();
}

}  // namespace orchard::training
