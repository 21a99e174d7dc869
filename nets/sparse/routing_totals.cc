#include "nets/sparse/routing_totals.h"

#include <torch/torch.h>

namespace orchard::nets {
namespace {

void AddTo(std::vector<double>& sums, const double* row, int64_t count) {
  sums.resize(static_cast<size_t>(count), 0.0);
  for (int64_t e = 0; e < count; ++e) sums[static_cast<size_t>(e)] += row[e];
}

}  // namespace

void Add(const Routing& routing, int64_t experts, int64_t pictures, RoutingTotals& totals) {
  const torch::NoGradGuard guard;
  const torch::Tensor p = routing.probabilities.to(torch::kFloat64);  // [n, E]
  const torch::Tensor taken = routing.assignment.experts.ge(0).to(torch::kFloat64);
  const torch::Tensor index = routing.assignment.experts.clamp_min(0);
  const torch::Tensor by_token = torch::zeros_like(p).scatter_add(1, index, taken);  // [n, E]
  const torch::Tensor weight = torch::zeros_like(p).scatter_add(
      1, index, routing.assignment.weights.to(torch::kFloat64) * taken);
  const torch::Tensor by_picture = by_token.view({pictures, -1, experts}).sum(1);
  const torch::Tensor entropy = -torch::xlogy(p, p).sum();
  const torch::Tensor all =
      torch::cat({by_picture, p.sum(0, true), weight.sum(0, true), entropy.expand({1, experts})})
          .to(torch::kCPU)
          .contiguous();  // [pictures + 3, E]
  const auto* rows = all.data_ptr<double>();
  for (int64_t i = 0; i < pictures; ++i) {
    const double* row = rows + i * experts;
    totals.picks_of_picture.emplace_back(row, row + experts);
    AddTo(totals.picks, row, experts);
  }
  AddTo(totals.probability, rows + pictures * experts, experts);
  AddTo(totals.weight, rows + (pictures + 1) * experts, experts);
  totals.entropy += rows[(pictures + 2) * experts];
  totals.tokens += static_cast<double>(p.size(0));
}

}  // namespace orchard::nets
