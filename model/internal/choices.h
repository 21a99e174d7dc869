#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "orchard/v1/model.pb.h"

namespace orchard::model::internal {

/// One choice of the gates: the branch, or the domain inside a branch.
struct Choice {
  std::string prefix;           ///< of its tensors
  std::vector<size_t> options;  ///< index of each output: branches, or domains of the model
  double temperature = 1.0;

  /// With one option there is nothing to learn: its log-probability is 0, and it has no tensors.
  bool HasNetwork() const { return options.size() > 1; }
};

/// Gate1 first, then Gate2 of each branch.
std::vector<Choice> ChoicesOf(const v1::ModelManifest& manifest);

}  // namespace orchard::model::internal
