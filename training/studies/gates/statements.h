#pragma once

#include <string>
#include <vector>

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// Every fault of what a recipe says of the study gates, with value and limit.
std::vector<std::string> GatesFaults(const v1::Recipe& recipe);

/// The network of every gate: the recipe's, or one linear layer.
orchard::v1::Network GateNetworkOf(const v1::Recipe& recipe);

/// Dimensions of the unknown-domain score at most: the recipe's, or 256.
int64_t UnknownRankOf(const v1::Recipe& recipe);

}  // namespace orchard::training
