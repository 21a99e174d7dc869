#pragma once

#include <string>
#include <utility>
#include <vector>

namespace orchard::training {

/// Every field of a recipe as TextFormat prints it, with its path: {"optimisation.epochs", "12"},
/// {"domains[apple].quota", "40"}, {"optimisation.sides", "192, 224"}. Messages of which there are
/// several are told apart by their `name`, or by their number where they have none. Reads the text
/// and no schema, so that recipes of other versions can be compared too.
std::vector<std::pair<std::string, std::string>> RecipeFields(const std::string& text);

/// A field that is not the same in all of the recipes, and its value in each; empty: not set.
struct RecipeDifference {
  std::string field;
  std::vector<std::string> values;
};

/// In the order of the fields.
std::vector<RecipeDifference> CompareRecipes(const std::vector<std::string>& texts);

}  // namespace orchard::training
