#include "training/studies/vit_moe/answers.h"

#include <algorithm>
#include <numeric>

#include <torch/torch.h>

namespace orchard::training {
namespace {

/// [pictures]; undefined where no router says how sure it is.
torch::Tensor UncertaintyOf(const nets::VitOutput& output, int64_t pictures) {
  std::vector<torch::Tensor> layers;
  for (const nets::Routing& routing : output.routing) {
    if (!routing.uncertainty.defined()) continue;
    layers.push_back(routing.uncertainty.to(torch::kFloat64).reshape({pictures, -1}).mean(1));
  }
  return layers.empty() ? torch::Tensor() : torch::stack(layers).mean(0);
}

}  // namespace

VitAnswers Ask(nets::Vit& network, const Standardise& standardise, const torch::Tensor& pixels,
               int64_t batch) {
  const torch::NoGradGuard guard;
  const std::vector<nets::TokenRouterImpl*> routers = network->Routers();
  network->eval();
  VitAnswers answers;
  answers.routing.resize(routers.size());
  std::vector<torch::Tensor> rows, uncertainties;
  for (int64_t from = 0; from < pixels.size(0); from += batch) {
    const int64_t count = std::min(batch, pixels.size(0) - from);
    const nets::VitOutput output =
        network->forward(standardise(pixels.narrow(0, from, count)).contiguous());
    rows.push_back(output.logits.to(torch::kFloat32).log_softmax(1));
    if (const torch::Tensor of = UncertaintyOf(output, count); of.defined()) {
      uncertainties.push_back(of);
    }
    for (size_t layer = 0; layer < output.routing.size(); ++layer) {
      nets::Add(output.routing[layer], routers[layer]->options.experts, count,
                answers.routing[layer]);
    }
  }
  answers.log_probabilities = torch::cat(rows).to(torch::kCPU).contiguous();
  if (!uncertainties.empty()) {
    answers.uncertainty = torch::cat(uncertainties).to(torch::kCPU).contiguous();
  }
  return answers;
}

std::vector<std::vector<double>> ExpertLoad(const std::vector<nets::RoutingTotals>& routing) {
  std::vector<std::vector<double>> load;
  for (const nets::RoutingTotals& layer : routing) {
    const double all = std::accumulate(layer.picks.begin(), layer.picks.end(), 0.0);
    std::vector<double> shares = layer.picks;
    for (double& share : shares) share /= std::max(all, 1.0);
    load.push_back(std::move(shares));
  }
  return load;
}

}  // namespace orchard::training
