#pragma once

#include <string>
#include <vector>

#include "training/dataset.h"
#include "training/masked_moe.h"

namespace orchard::training {

/// Which concept each class belongs to, over the classes of all domains. Classes that the recipe
/// lists together are one concept, and so are equal labels of two domains.
std::vector<size_t> ConceptOfClass(const v1::Recipe& recipe,
                                   const std::vector<DomainClasses>& domains);

/// [N, ΣC] log-probabilities of classes → [N, concepts] probabilities.
torch::Tensor SumByConcept(const torch::Tensor& joint, const std::vector<size_t>& concept_of);

/// Hits and pictures.
struct Hits {
  size_t hits = 0;
  size_t total = 0;

  void Count(bool hit) {
    hits += hit ? 1 : 0;
    ++total;
  }

  double Share() const {
    return total == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(total);
  }
};

/// Mean of the shares of domains with pictures.
double MeanShare(const std::vector<Hits>& domains);

/// Accuracy on a split, with the policy DENSE.
struct Accuracy {
  Hits branch, domain;
  std::vector<Hits> oracle;      ///< [G]: the expert, given the true domain
  std::vector<Hits> routed;      ///< [G]: domain and class right
  std::vector<Hits> by_concept;  ///< [G]: the best concept is right

  double Mean() const;           ///< of `routed` over domains with pictures
  double MeanByConcept() const;  ///< of `by_concept`
};

Accuracy Measure(const MaskedMoeImpl& network, const Logits& logits,
                 const std::vector<Label>& labels, const Temperatures& temperatures,
                 const std::vector<size_t>& concept_of);

/// A line with the means and a line with each domain.
std::string ToText(const Accuracy& accuracy, const std::vector<DomainClasses>& domains);

}  // namespace orchard::training
