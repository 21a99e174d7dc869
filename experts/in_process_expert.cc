#include "experts/in_process_expert.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/status.h"
#include "core/without_throwing.h"

namespace orchard::experts {
namespace {

absl::Status CheckBatch(const SubBatch& batch, const ExpertSpec& spec) {
  if (batch.rows.empty()) return absl::InvalidArgumentError("a sub-batch without rows");
  ORCHARD_RETURN_IF_ERROR(CheckView(batch.view.get(), spec));
  const size_t last = *std::max_element(batch.rows.begin(), batch.rows.end());
  if (last < batch.view->rows()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("row ", last, " of a batch of ", batch.view->rows(), " rows"));
}

/// The rows side by side, as numbers.
std::vector<float> Gathered(const SubBatch& batch) {
  std::vector<float> gathered;
  gathered.reserve(batch.rows.size() * batch.view->spec().RowWidth());
  for (const size_t row : batch.rows) {
    if (batch.view->spec().element == core::ElementType::kUint8) {
      const std::span<const std::uint8_t> pixels = batch.view->Pixels(row, 1);
      gathered.insert(gathered.end(), pixels.begin(), pixels.end());
    } else {
      const std::span<const float> values = batch.view->Floats(row, 1);
      gathered.insert(gathered.end(), values.begin(), values.end());
    }
  }
  return gathered;
}

bool Consecutive(const std::vector<size_t>& rows) {
  return std::adjacent_find(rows.begin(), rows.end(),
                            [](size_t a, size_t b) { return b != a + 1; }) == rows.end();
}

}  // namespace

InProcessExpert::InProcessExpert(ExpertSpec spec, Scorer scorer)
    : spec_(std::move(spec)), scorer_(std::move(scorer)) {}

void InProcessExpert::Score(SubBatch batch, CallContext context, Done done) {
  // What is gathered and scored is rows of a map or of pixels: without memory the expert is
  // missing.
  absl::StatusOr<model::ScoreBatch> scores =
      core::WithoutThrowing(spec_.domain, [&] { return ScoreNow(batch, context); });
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
  const bool floats = batch.view->spec().element == core::ElementType::kFloat32;
  if (floats && Consecutive(batch.rows)) {
    scores = scorer_(batch.view->Floats(batch.rows.front(), rows), rows);
  } else {
    scores = scorer_(Gathered(batch), rows);
  }
  if (scores.ok()) ORCHARD_RETURN_IF_ERROR(CheckScores(*scores, rows, spec_.classes.size()));
  return scores;
}

}  // namespace orchard::experts
