#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nets/losses.h"
#include "nets/vit_moe/vit_moe.h"
#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// Every fault of what a recipe says of the study vit_moe, with value and limit.
std::vector<std::string> VitMoeFaults(const v1::Recipe& recipe);

/// The network that such a recipe trains, for `classes` classes.
nets::VitOptions VitOptionsOf(const v1::Recipe& recipe, int64_t classes);

nets::RouterLossWeights RouterWeightsOf(const v1::VitMoe& study);
nets::Smoothing SmoothingOf(const v1::VitMoe& study);

}  // namespace orchard::training
