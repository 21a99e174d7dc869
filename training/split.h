#pragma once

#include <cstdint>
#include <vector>

#include "training/dataset.h"

namespace orchard::training {

enum class Side : std::uint8_t { kTrain, kValidation, kTest };

/// Puts every picture on one side; a group is never divided.
///
/// Inside each class the groups are ordered by the SHA-256 of their pictures' contents. In that
/// order a group goes to the test side while it fits into `test_share` of the class's pictures
/// (rounded), else to the validation side while it fits into `validation_share`, else to training.
/// So each class is represented, nothing depends on file names or on a seed, and a group larger
/// than a side's share is trained on.
std::vector<Side> Split(const Dataset& dataset, double validation_share, double test_share);

/// Indices of the pictures on `side`, in order.
std::vector<size_t> On(const std::vector<Side>& sides, Side side);

}  // namespace orchard::training
