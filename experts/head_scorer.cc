#include "experts/head_scorer.h"

#include <utility>

namespace orchard::experts {

Scorer ScorerOf(std::shared_ptr<const model::ExpertHead> head) {
  return [head = std::move(head)](std::span<const float> features, size_t rows) {
    return head->Score(features, rows);
  };
}

}  // namespace orchard::experts
