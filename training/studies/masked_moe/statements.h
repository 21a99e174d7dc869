#pragma once

#include <string>
#include <vector>

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// Every fault of what a recipe says of the study masked_moe, with value and limit.
std::vector<std::string> MaskedMoeFaults(const v1::Recipe& recipe);

/// The network of every gate: the recipe's, or an mlp.
orchard::v1::Network GateOf(const v1::Recipe& recipe);

/// The recipe with one linear layer on pooled features for every gate and expert.
v1::Recipe WithLinearHeads(v1::Recipe recipe);

}  // namespace orchard::training
