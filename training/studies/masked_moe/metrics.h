#pragma once

#include <string>
#include <utility>
#include <vector>

#include "training/measure/concepts.h"
#include "training/measure/hits.h"
#include "training/studies/masked_moe/masked_moe.h"

namespace orchard::training {

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

/// The means and each domain's `routed`, by name: what a run log keeps of an epoch.
std::vector<std::pair<std::string, double>> Measures(const Accuracy& accuracy,
                                                     const std::vector<DomainClasses>& domains);

/// A line with the means and a line with each domain.
std::string ToText(const Accuracy& accuracy, const std::vector<DomainClasses>& domains);

}  // namespace orchard::training
