#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/training.h"

namespace orchard::training {

/// What a horizontal flip makes of the classes of a domain.
struct Mirrors {
  std::vector<std::optional<size_t>> of = {};  ///< [classes]; empty: every class stays what it is

  /// The class that the mirrored picture shows; nothing where it would show none.
  std::optional<size_t> Of(size_t label) const {
    return of.empty() ? std::optional<size_t>(label) : of[label];
  }
};

/// What the recipe's domain says. Errors: INVALID_ARGUMENT naming a class that isn't there, or is
/// named twice.
absl::StatusOr<Mirrors> MirrorsOf(const v1::Domain& domain, const DomainClasses& classes);

}  // namespace orchard::training
