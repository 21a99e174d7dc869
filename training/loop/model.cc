#include "training/loop/model.h"

#include "training/loop/device.h"

namespace orchard::training {

void LossTerms::Add(std::string name, double weight, torch::Tensor value) {
  if (!value.defined()) return;
  terms_.push_back({.name = std::move(name), .value = std::move(value), .weight = weight});
}

torch::Tensor LossTerms::Total() const {
  torch::Tensor total;
  for (const nets::LossTerm& term : terms_) {
    const torch::Tensor weighted = term.value * term.weight;
    total = total.defined() ? total + weighted : weighted;
  }
  return divisor_ == 1.0 ? total : total / divisor_;
}

std::vector<std::pair<std::string, double>> LossTerms::Values() const {
  std::vector<torch::Tensor> scalars;
  for (const nets::LossTerm& term : terms_) scalars.push_back(term.value);
  const std::vector<double> numbers = ValuesOf(scalars);
  std::vector<std::pair<std::string, double>> values;
  for (size_t i = 0; i < terms_.size(); ++i) {
    values.emplace_back(terms_[i].name, numbers[i] / divisor_);
  }
  return values;
}

}  // namespace orchard::training
