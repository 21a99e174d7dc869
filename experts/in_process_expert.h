#pragma once

#include <optional>

#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "experts/scorer.h"
#include "model/expert_head.h"

namespace orchard::experts {

/// An expert of this very process. Computes on the thread that calls Score, and answers before it
/// returns: there is no hop that could cost more than a small head does. Thread-safe.
class InProcessExpert final : public Expert {
 public:
  /// `scorer`: ScorerOf a loaded head (head_scorer.h), or a function of a test.
  InProcessExpert(ExpertSpec spec, Scorer scorer);

  /// Features that lie one after the other, as those of a whole batch do, are not copied.
  /// Errors: DEADLINE_EXCEEDED when the deadline has passed already, INVALID_ARGUMENT for no rows,
  /// a row that the batch does not have or features of another width, INTERNAL for an answer that
  /// CheckScores refuses, and the Scorer's own.
  void Score(SubBatch batch, CallContext context, Done done) override;

  /// Nothing is ever in progress on another thread than its caller's.
  void Stop() override {}

  /// Never: it lives as long as we do.
  std::optional<MissingReason> Unavailable() const override { return std::nullopt; }

 private:
  absl::StatusOr<model::ScoreBatch> ScoreNow(const SubBatch& batch,
                                             const CallContext& context) const;

  const ExpertSpec spec_;
  const Scorer scorer_;
};

}  // namespace orchard::experts
