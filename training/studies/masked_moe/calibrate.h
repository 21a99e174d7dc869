#pragma once

#include <vector>

#include "training/studies/masked_moe/masked_moe.h"

namespace orchard::training {

/// One temperature a level: Gate1 by all pictures, Gate2 of a branch by the branch's, an expert by
/// its domain's. Never of the joint, so that no joint exceeds its domain's probability.
Temperatures Calibrate(const MaskedMoeImpl& network, const Logits& logits,
                       const std::vector<Label>& labels);

}  // namespace orchard::training
