#include "training/studies/fruit_nets/answers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "training/recipe.h"

namespace orchard::training {
namespace {

/// The rows [from, from + batch) of `input`, or as many as there are.
torch::Tensor Some(const torch::Tensor& input, int64_t from, int64_t batch) {
  return input.narrow(0, from, std::min(batch, input.size(0) - from));
}

}  // namespace

FruitNetInput::FruitNetInput(nets::FruitNet network, const v1::Recipe& recipe)
    : network_(std::move(network)),
      standardise_(PreprocessingOf(recipe), Device()),
      frozen_(recipe.fruit_nets().frozen_trunk()),
      binary_(!recipe.fruit_nets().fruits().empty()) {}

torch::Tensor FruitNetInput::Read(const torch::Tensor& pixels, int64_t batch) {
  if (!frozen_) return pixels;
  const torch::NoGradGuard guard;
  network_->eval();
  std::vector<torch::Tensor> maps;
  for (int64_t from = 0; from < pixels.size(0); from += batch) {
    const torch::Tensor x = standardise_(Some(pixels, from, batch));
    maps.push_back(network_->trunk->Map(x, nullptr).to(torch::kCPU).contiguous());
  }
  return torch::cat(maps);
}

torch::Tensor FruitNetInput::Logits(const torch::Tensor& input) {
  const torch::Tensor z =
      frozen_ ? network_->AfterTrunk(input.to(Device())) : network_->forward(standardise_(input));
  return binary_ ? torch::cat({z, torch::zeros_like(z)}, 1) : z;
}

torch::Tensor FruitNetInput::LogProbabilities(const torch::Tensor& input, int64_t batch) {
  const torch::NoGradGuard guard;
  network_->eval();
  std::vector<torch::Tensor> rows;
  for (int64_t from = 0; from < input.size(0); from += batch) {
    rows.push_back(Logits(Some(input, from, batch)).to(torch::kFloat32).log_softmax(1));
  }
  return torch::cat(rows).to(torch::kCPU).contiguous();
}

}  // namespace orchard::training
