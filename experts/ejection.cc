#include "experts/ejection.h"

#include <algorithm>

namespace orchard::experts {

bool IsFault(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kInternal;
}

void Ejection::Succeeded() { *this = {}; }

void Ejection::Failed(core::Clock::time_point now) {
  const bool was_bad = bad();
  ++faults_;
  // Of the calls that were on their way when it was sent out, none makes it worse.
  if (bad() && (!was_bad || on_trial_)) SendOut(now);
}

void Ejection::Silent(core::Clock::time_point now) {
  faults_ = std::max(faults_, kFaultsToEject);
  SendOut(now);
}

void Ejection::ProbeSucceeded() { on_trial_ = bad(); }

bool Ejection::MayProbe(core::Clock::time_point now, bool all_bad) const {
  const core::Clock::duration time_out = all_bad ? core::Clock::duration(kShortest) : time_out_;
  return bad() && !on_trial_ && now - sent_out_ >= time_out;
}

void Ejection::SendOut(core::Clock::time_point now) {
  if (time_out_ == core::Clock::duration{}) bad_since_ = now;
  on_trial_ = false;
  time_out_ = std::clamp<core::Clock::duration>(2 * time_out_, kShortest, kLongest);
  sent_out_ = now;
}

}  // namespace orchard::experts
