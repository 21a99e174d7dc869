#include "training/data/mixing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/random.h"

namespace orchard::training {
namespace {

using core::Uniform;

std::vector<size_t> Permutation(size_t count, std::mt19937_64& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  core::Shuffle(order, random);
  return order;
}

/// Every picture's `box` becomes its partner's.
void Paste(const Box& box, std::span<const size_t> partner, size_t side,
           const torch::Tensor& pixels) {
  const torch::Tensor before = pixels.clone();
  const size_t row = side * 3;
  const auto* from = before.data_ptr<std::uint8_t>();
  auto* to = pixels.data_ptr<std::uint8_t>();
  for (size_t i = 0; i < partner.size(); ++i) {
    for (size_t y = box.top; y < box.bottom; ++y) {
      std::memcpy(to + (i * side + y) * row + box.left * 3,
                  from + (partner[i] * side + y) * row + box.left * 3, (box.right - box.left) * 3);
    }
  }
}

/// λ · picture + (1 - λ) · partner, rounded.
void Blend(double lambda, std::span<const size_t> partner, size_t side,
           const torch::Tensor& pixels) {
  const torch::Tensor before = pixels.clone();
  const size_t picture = side * side * 3;
  const auto* from = before.data_ptr<std::uint8_t>();
  auto* to = pixels.data_ptr<std::uint8_t>();
  const auto own = static_cast<float>(lambda);
  for (size_t i = 0; i < partner.size(); ++i) {
    const std::uint8_t* other = from + partner[i] * picture;
    std::uint8_t* out = to + i * picture;
    for (size_t k = 0; k < picture; ++k) {
      const float value =
          own * static_cast<float>(out[k]) + (1 - own) * static_cast<float>(other[k]);
      // Between bytes, so this rounds rightly. NOLINTNEXTLINE(bugprone-incorrect-roundings)
      out[k] = static_cast<std::uint8_t>(value + 0.5F);
    }
  }
}

torch::Tensor Targets(double lambda, std::span<const size_t> flat, std::span<const size_t> partner,
                      size_t classes) {
  torch::Tensor targets = torch::zeros(
      {static_cast<int64_t>(flat.size()), static_cast<int64_t>(classes)}, torch::kFloat32);
  auto* const of = targets.data_ptr<float>();
  for (size_t i = 0; i < flat.size(); ++i) {
    of[i * classes + flat[i]] += static_cast<float>(lambda);
    of[i * classes + flat[partner[i]]] += static_cast<float>(1.0 - lambda);
  }
  return targets;
}

}  // namespace

Box CutBox(size_t side, double lambda, double across, double down) {
  const auto length = static_cast<double>(side);
  const double half = length * std::sqrt(1.0 - lambda) / 2;
  const auto clip = [&](double at) {
    return static_cast<size_t>(std::lround(std::clamp(at, 0.0, length)));
  };
  return {.left = clip(across * length - half),
          .top = clip(down * length - half),
          .right = clip(across * length + half),
          .bottom = clip(down * length + half)};
}

double DrawBeta(double alpha, std::mt19937_64& random) {
  // Jöhnk 1964: of two powers of uniform numbers that sum to at most 1, the first one's share.
  while (true) {
    const double a = std::pow(Uniform(random), 1.0 / alpha);
    const double b = std::pow(Uniform(random), 1.0 / alpha);
    if (a + b <= 1.0 && a + b > 0.0) return a / (a + b);
  }
}

void MixPictures(const Mixing& mixing, std::span<const size_t> flat, size_t classes,
                 std::uint64_t seed, Batch& batch) {
  std::mt19937_64 random(seed);
  const double kind = Uniform(random);
  if (flat.size() < 2 || kind >= mixing.cutmix + mixing.mixup) return;
  const auto side = static_cast<size_t>(batch.pixels.size(1));
  const std::vector<size_t> partner = Permutation(flat.size(), random);
  double lambda = 1.0;
  if (kind < mixing.cutmix) {
    const double drawn = DrawBeta(mixing.cutmix_alpha, random);
    const double across = Uniform(random);
    const double down = Uniform(random);
    const Box box = CutBox(side, drawn, across, down);
    Paste(box, partner, side, batch.pixels);
    lambda = 1.0 - static_cast<double>(box.area()) / static_cast<double>(side * side);
  } else {
    lambda = DrawBeta(mixing.mixup_alpha, random);
    Blend(lambda, partner, side, batch.pixels);
  }
  batch.targets = Targets(lambda, flat, partner, classes);
  batch.labels.clear();
}

}  // namespace orchard::training
