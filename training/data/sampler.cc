#include "training/data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/random.h"

namespace orchard::training {
namespace {

using core::Uniform;

/// factor · count^power, scaled to sum 1; nothing stays nothing.
std::vector<double> Weights(const std::vector<size_t>& counts, double power,
                            const std::vector<double>& factors) {
  std::vector<double> weights;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double factor = factors.empty() ? 1.0 : factors[i];
    weights.push_back(counts[i] == 0 ? 0.0
                                     : factor * std::pow(static_cast<double>(counts[i]), power));
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= total;
  return weights;
}

/// The entry in which the cumulated weights pass `point`, in [0, 1).
size_t Pick(const std::vector<double>& weights, double point) {
  double cumulated = 0.0;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0.0) continue;
    last = i;
    cumulated += weights[i];
    if (point < cumulated) return i;
  }
  return last;  // Rounding.
}

}  // namespace

Sampler::Sampler(std::span<const Label> labels, const Options& options)
    : options_(options), random_(Mix(options.seed, /*a=*/1)) {
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto& [domain, label] = labels[i];
    if (decks_.size() <= domain) decks_.resize(domain + 1);
    if (decks_[domain].size() <= label) decks_[domain].resize(label + 1);
    decks_[domain][label].pictures.push_back(i);
  }
  std::vector<size_t> of_domain;
  for (auto& decks : decks_) {
    std::vector<size_t> of_class;
    for (Deck& deck : decks) {
      of_class.push_back(deck.pictures.size());
      deck.dealt = deck.pictures.size();  // Shuffled when first asked.
    }
    of_domain.push_back(std::accumulate(of_class.begin(), of_class.end(), size_t{0}));
    class_.push_back(Weights(of_class, options.class_power, {}));
  }
  domain_ = Weights(of_domain, options.domain_power, options.domain_factors);
}

size_t Sampler::Deal(Deck& deck) {
  if (deck.dealt == deck.pictures.size()) {
    core::Shuffle(deck.pictures, random_);
    deck.dealt = 0;
  }
  return deck.pictures[deck.dealt++];
}

std::vector<size_t> Sampler::NextEpoch(size_t pictures) {
  const size_t batches = std::max<size_t>(1, pictures / options_.batch);
  std::vector<size_t> drawn;
  for (size_t b = 0; b < batches; ++b) {
    const double start = Uniform(random_);
    for (size_t i = 0; i < options_.batch; ++i) {
      const double point = (static_cast<double>(i) + start) / static_cast<double>(options_.batch);
      const size_t domain = Pick(domain_, point);
      const size_t label = Pick(class_[domain], Uniform(random_));
      drawn.push_back(Deal(decks_[domain][label]));
    }
  }
  return drawn;
}

}  // namespace orchard::training
