#pragma once

#include <memory>

#include "experts/scorer.h"
#include "model/expert_head.h"

namespace orchard::experts {

/// `head` as a Scorer, which shares it with whoever else holds it. A file of its own: whatever
/// links it links LibTorch.
Scorer ScorerOf(std::shared_ptr<const model::ExpertHead> head);

}  // namespace orchard::experts
