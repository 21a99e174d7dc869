#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// Reads a text proto and then applies `overrides`, each "field=value" or "message.field=value":
/// "epochs=3", "augmentation.min_area=0.5", "sides=192,224". A bare field name is one of the recipe
/// itself, or must be unique among its messages (other studies than its own don't count). Errors
/// name the file or the override, and list every fault at once.
absl::StatusOr<v1::Recipe> ReadRecipe(const std::filesystem::path& path,
                                      const std::vector<std::string>& overrides);

/// Applies one override. Errors: INVALID_ARGUMENT naming it and what is known.
absl::Status ApplyOverride(v1::Recipe& recipe, const std::string& assignment);

/// Every fault of the recipe's statements, with value and limit.
std::vector<std::string> Faults(const v1::Recipe& recipe);

/// Branches in the order in which domains first name them.
std::vector<std::string> Branches(const v1::Recipe& recipe);

/// What the recipe's network expects of a picture: what it says, else ImageNet's, framed as it
/// says.
orchard::v1::Preprocessing PreprocessingOf(const v1::Recipe& recipe);

/// The recipe's augmentation with what `domain` sets of its own.
v1::Augmentation AugmentationOf(const v1::Recipe& recipe, const v1::Domain& domain);

}  // namespace orchard::training
