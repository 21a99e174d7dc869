#include "experts/in_process_expert.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/status.h"

namespace orchard::experts {
namespace {

absl::Status CheckBatch(const SubBatch& batch, const ExpertSpec& spec) {
  if (batch.rows.empty()) return absl::InvalidArgumentError("a sub-batch without rows");
  const size_t last = *std::max_element(batch.rows.begin(), batch.rows.end());
  if (last >= batch.features->rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("row ", last, " of a batch of ", batch.features->rows, " rows"));
  }
  const size_t width = batch.features->Row(spec.kind, 0).size();
  if (width == spec.RowWidth()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("features: ", width,
                                                 " floats a row; the expert of ", spec.domain,
                                                 " reads ", spec.RowWidth()));
}

bool Consecutive(const std::vector<size_t>& rows) {
  return std::adjacent_find(rows.begin(), rows.end(),
                            [](size_t a, size_t b) { return b != a + 1; }) == rows.end();
}

}  // namespace

InProcessExpert::InProcessExpert(ExpertSpec spec, Scorer scorer)
    : spec_(std::move(spec)), scorer_(std::move(scorer)) {}

void InProcessExpert::Score(SubBatch batch, CallContext context, Done done) {
  absl::StatusOr<model::ScoreBatch> scores = ScoreNow(batch, context);
  const MissingReason reason = ReasonOf(scores.status());
  std::move(done)(
      {.scores = std::move(scores), .reason = reason, .part_version = spec_.part_version});
}

absl::StatusOr<model::ScoreBatch> InProcessExpert::ScoreNow(const SubBatch& batch,
                                                            const CallContext& context) const {
  if (core::Clock::now() >= context.deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat("the deadline passed before the expert of ", spec_.domain, " was asked"));
  }
  ORCHARD_RETURN_IF_ERROR(CheckBatch(batch, spec_));
  const size_t rows = batch.rows.size();
  absl::StatusOr<model::ScoreBatch> scores;
  if (Consecutive(batch.rows)) {
    const float* const first = batch.features->Row(spec_.kind, batch.rows.front()).data();
    scores = scorer_({first, rows * spec_.RowWidth()}, rows);
  } else {
    std::vector<float> gathered;
    gathered.reserve(rows * spec_.RowWidth());
    for (const size_t row : batch.rows) {
      const std::span<const float> values = batch.features->Row(spec_.kind, row);
      gathered.insert(gathered.end(), values.begin(), values.end());
    }
    scores = scorer_(gathered, rows);
  }
  if (scores.ok()) ORCHARD_RETURN_IF_ERROR(CheckScores(*scores, rows, spec_.classes.size()));
  return scores;
}

}  // namespace orchard::experts
