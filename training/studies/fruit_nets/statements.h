#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nets/backbones/fruit_net.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/data/folds.h"

namespace orchard::training {

/// Every fault of what a recipe says of the study fruit_nets, with value and limit.
std::vector<std::string> FruitNetsFaults(const v1::Recipe& recipe);

/// The network that such a recipe trains, for `classes` classes; where it tells fruit from
/// vegetables, for one logit.
nets::FruitNetOptions FruitNetOptionsOf(const v1::Recipe& recipe, int64_t classes);

/// Which fold is held out, and of how many.
FoldOptions FoldsOf(const v1::FruitNets& study);

}  // namespace orchard::training
