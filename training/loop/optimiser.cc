#include "training/loop/optimiser.h"

#include <cmath>

#include <ATen/ATen.h>

#include "core/status.h"
#include "training/loop/checkpoint.h"
#include "training/loop/device.h"

namespace orchard::training {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;

/// The gradients that there are.
std::vector<torch::Tensor> GradientsOf(const std::vector<TrainedParameter>& parameters) {
  std::vector<torch::Tensor> gradients;
  for (const TrainedParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  return gradients;
}

}  // namespace

AdamW::AdamW(std::vector<TrainedParameter> parameters, double weight_decay, StepWay way)
    : parameters_(std::move(parameters)),
      weight_decay_(weight_decay),
      together_(Together(way, parameters_)) {
  for (TrainedParameter& parameter : parameters_) {
    parameter.rate = static_cast<double>(static_cast<float>(parameter.rate));  // As it is saved.
    moments_.push_back({.first = torch::zeros_like(parameter.value),
                        .second = torch::zeros_like(parameter.value)});
  }
}

double AdamW::ClipGradients(double limit) {
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> gradients = GradientsOf(parameters_);
  if (gradients.empty()) return 0.0;
  std::vector<torch::Tensor> norms;
  if (together_) {
    norms = at::_foreach_norm(gradients);
  } else {
    for (const torch::Tensor& gradient : gradients) norms.push_back(gradient.norm());
  }
  double squares = 0.0;
  for (const double norm : ValuesOf(norms)) squares += norm * norm;
  const double norm = std::sqrt(squares);
  if (norm <= limit) return norm;
  if (together_) {
    at::_foreach_mul_(gradients, limit / norm);
  } else {
    for (torch::Tensor& gradient : gradients) gradient.mul_(limit / norm);
  }
  return norm;
}

void AdamW::Step(double factor) {
  const torch::NoGradGuard guard;
  if (together_) {
    StepTogether(factor);
  } else {
    StepEach(factor);
  }
}

void AdamW::StepTogether(double factor) {
  std::vector<torch::Tensor> values, decayed, gradients, first, second;
  std::vector<at::Scalar> keep, roots, rates;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    TrainedParameter& parameter = parameters_[i];
    if (!parameter.value.grad().defined()) continue;
    Moments& moments = moments_[i];
    const auto steps = static_cast<double>(++moments.steps);
    const double rate = parameter.rate * factor;
    if (parameter.decays) {
      decayed.push_back(parameter.value);
      keep.emplace_back(1.0 - rate * weight_decay_);
    }
    values.push_back(parameter.value);
    gradients.push_back(parameter.value.grad());
    first.push_back(moments.first);
    second.push_back(moments.second);
    roots.emplace_back(std::sqrt(1.0 - std::pow(kBeta2, steps)));
    rates.emplace_back(-rate / (1.0 - std::pow(kBeta1, steps)));
    parameter.value.mutable_grad() = torch::Tensor();
  }
  if (values.empty()) return;
  if (!decayed.empty()) at::_foreach_mul_(decayed, keep);
  at::_foreach_mul_(first, kBeta1);
  at::_foreach_add_(first, gradients, 1.0 - kBeta1);
  at::_foreach_mul_(second, kBeta2);
  at::_foreach_addcmul_(second, gradients, gradients, 1.0 - kBeta2);
  std::vector<torch::Tensor> scale = at::_foreach_sqrt(second);
  at::_foreach_div_(scale, roots);
  at::_foreach_add_(scale, kEpsilon);
  at::_foreach_addcdiv_(values, first, scale, rates);
}

void AdamW::StepEach(double factor) {
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
