#pragma once

#include <string>
#include <vector>

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// Every fault of what a recipe says of its pictures: shares, sources, sampling, augmentation; with
/// value and limit.
std::vector<std::string> DataFaults(const v1::Recipe& recipe);

}  // namespace orchard::training
