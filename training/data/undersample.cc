#include "training/data/undersample.h"

#include <algorithm>
#include <map>
#include <random>

#include "core/random.h"

namespace orchard::training {
namespace {

constexpr int kIterations = 20;

std::vector<size_t> RandomSubset(size_t count, size_t keep, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  for (size_t i = 0; i < keep; ++i) std::swap(order[i], order[i + random() % (count - i)]);
  order.resize(keep);
  return order;
}

/// k-means++: each next start is drawn with the weight of its squared distance to those before.
torch::Tensor StartingCentres(const torch::Tensor& points, size_t k, std::mt19937_64& random) {
  const auto count = static_cast<std::uint64_t>(points.size(0));
  std::vector<torch::Tensor> centres = {points[static_cast<int64_t>(random() % count)]};
  torch::Tensor nearest = (points - centres[0]).square().sum(1);  // [N]
  while (centres.size() < k) {
    const torch::Tensor cumulated = nearest.to(torch::kFloat64).cumsum(0);
    const double point = core::Uniform(random) * cumulated[-1].item<double>();
    const auto chosen = std::min(cumulated.le(point).sum().item<int64_t>(), points.size(0) - 1);
    centres.push_back(points[chosen]);
    nearest = torch::minimum(nearest, (points - centres.back()).square().sum(1));
  }
  return torch::stack(centres);  // [k, D]
}

}  // namespace

std::vector<size_t> Medoids(const torch::Tensor& points, size_t k, std::uint64_t seed) {
  const torch::NoGradGuard guard;
  std::mt19937_64 random(seed);
  torch::Tensor centres = StartingCentres(points, k, random);
  for (int i = 0; i < kIterations; ++i) {
    const torch::Tensor owner = torch::cdist(points, centres).argmin(1);  // [N]
    for (int64_t c = 0; c < centres.size(0); ++c) {
      const torch::Tensor members = points.index({owner == c});
      if (members.size(0) > 0) centres[c] = members.mean(0);
    }
  }
  const torch::Tensor distance = torch::cdist(centres, points);  // [k, N]
  std::vector<size_t> chosen;
  std::vector<bool> taken(static_cast<size_t>(points.size(0)), false);
  for (int64_t c = 0; c < centres.size(0); ++c) {
    const torch::Tensor order = distance[c].argsort().contiguous();
    for (int64_t i = 0; i < order.numel(); ++i) {
      const auto candidate = static_cast<size_t>(order.data_ptr<int64_t>()[i]);
      if (taken[candidate]) continue;  // Two centres with one nearest picture take two pictures.
      taken[candidate] = true;
      chosen.push_back(candidate);
      break;
    }
  }
  return chosen;
}

std::vector<size_t> Undersample(std::span<const Label> labels, std::span<const size_t> quota,
                                v1::Undersampling method, const torch::Tensor& pooled,
                                std::uint64_t seed) {
  std::map<std::pair<size_t, size_t>, std::vector<size_t>> classes;
  for (size_t i = 0; i < labels.size(); ++i) {
    classes[{labels[i].domain, labels[i].label}].push_back(i);
  }
  std::vector<size_t> kept;
  for (const auto& [key, members] : classes) {
    const size_t limit = quota[key.first];
    if (limit == 0 || members.size() <= limit) {
      kept.insert(kept.end(), members.begin(), members.end());
      continue;
    }
    const std::uint64_t own = Mix(seed, key.first, key.second);
    std::vector<size_t> chosen;
    if (method == v1::MEDOID) {
      const std::vector<int64_t> rows(members.begin(), members.end());
      chosen = Medoids(pooled.index_select(0, torch::tensor(rows, torch::kLong)), limit, own);
    } else {
      chosen = RandomSubset(members.size(), limit, own);
    }
    for (const size_t i : chosen) kept.push_back(members[i]);
  }
  std::ranges::sort(kept);
  return kept;
}

}  // namespace orchard::training
