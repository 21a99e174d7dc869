#pragma once

#include <vector>

#include <torch/types.h>

#include "orchard/training/v1/recipe.pb.h"
#include "training/training.h"

namespace orchard::training {

/// Which concept each class belongs to, over the classes of all domains. Classes that the recipe
/// lists together are one concept, and so are equal labels of two domains.
std::vector<size_t> ConceptOfClass(const v1::Recipe& recipe,
                                   const std::vector<DomainClasses>& domains);

/// [N, ΣC] log-probabilities of classes → [N, concepts] probabilities.
torch::Tensor SumByConcept(const torch::Tensor& joint, const std::vector<size_t>& concept_of);

}  // namespace orchard::training
