#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"

#include "training/data/picture_set.h"

/// \file
/// Cross-validation: pictures in parts of (nearly) one size, each held out once. Source: models.md
/// section 7.5, after section 1.4.

namespace orchard::training {

/// The fold of each picture, below `folds`, at least 1. A group is never divided. Inside each class
/// groups are dealt from the largest to the smallest, equals in the order of their contents' hash,
/// each to the fold that has the fewest pictures of the class (of equals the fewest of all, then
/// the first): so every fold has its share of each class that has as many groups, and nothing
/// depends on file names or on a seed.
std::vector<size_t> DealFolds(const Dataset& dataset, size_t folds);

struct FoldOptions {
  size_t folds = 5;
  size_t held_out = 0;  ///< below `folds`
  bool raw = false;  ///< every picture is a group of its own, by its name and content: duplicates
                     ///< come to lie on both sides, as they do in a random split
};

/// Deals the set's sides anew: the fold that is held out is the test side, the others are dealt as
/// `data` says, which has no test share of its own. Errors: INVALID_ARGUMENT naming every class
/// without a picture to train on.
absl::Status HoldOutFold(const FoldOptions& options, const v1::Data& data, PictureSet& set);

}  // namespace orchard::training
