#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

#include "model/part_network.h"
#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// The networks that a recipe trains, with the weights that they begin with: encoder and gates as
/// far as its study has them, an expert a domain. A domain whose source is no published data set
/// gets `classes`. Errors: those of nets::MakeHead naming the domain.
absl::StatusOr<std::vector<model::PartNetwork>> RecipeNetworks(const v1::Recipe& recipe,
                                                               int64_t classes);

}  // namespace orchard::training
