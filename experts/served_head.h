#pragma once

#include <memory>

#include "experts/expert_service.h"
#include "experts/expert_spec.h"
#include "model/expert_head.h"

namespace orchard::experts {

/// `head` with all that a service wants of it, which shares it.
ServedExpert ServedBy(ExpertSpec spec, std::shared_ptr<const model::ExpertHead> head);

}  // namespace orchard::experts
