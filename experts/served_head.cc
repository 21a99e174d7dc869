#include "experts/served_head.h"

#include <utility>

#include "experts/head_scorer.h"

namespace orchard::experts {

ServedExpert ServedBy(ExpertSpec spec, std::shared_ptr<const model::ExpertHead> head) {
  ServedExpert served{.spec = std::move(spec), .scorer = ScorerOf(head)};
  if (head->RoutesInside()) {
    served.layer_loads = [head = std::move(head)] { return head->LayerLoads(); };
  }
  return served;
}

}  // namespace orchard::experts
