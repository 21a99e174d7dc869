#include "nets/sparse/routing_counts.h"

#include <algorithm>
#include <functional>

#include "nets/sparse/routing_totals.h"

namespace orchard::nets {
namespace {

void AddTo(std::vector<double>& sums, const std::vector<double>& more) {
  sums.resize(more.size(), 0.0);
  std::ranges::transform(sums, more, sums.begin(), std::plus());
}

}  // namespace

void RoutingTally::Add(const std::vector<Routing>& layers, int64_t experts, int64_t top_k,
                       int64_t pictures) {
  std::vector<RoutingTotals> totals(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    nets::Add(layers[i], experts, pictures, totals[i]);
  }
  core::MutexLock lock(mutex_);
  layers_.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    layers_[i].top_k = static_cast<size_t>(top_k);
    layers_[i].pictures += static_cast<double>(pictures);
    layers_[i].tokens += totals[i].tokens;
    layers_[i].entropy += totals[i].entropy;
    AddTo(layers_[i].picks, totals[i].picks);
    AddTo(layers_[i].probability, totals[i].probability);
  }
}

}  // namespace orchard::nets
