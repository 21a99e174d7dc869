#include "experts/ratio_budget.h"

#include <algorithm>

namespace orchard::experts {

bool RatioBudget::Take(core::Clock::time_point now) {
  Step& newest = Now(now);
  size_t calls = 0;
  size_t taken = 0;
  for (const Step& step : steps_) {
    calls += step.calls;
    taken += step.taken;
  }
  const double allowed =
      std::max(static_cast<double>(options_.at_least), options_.ratio * static_cast<double>(calls));
  if (static_cast<double>(taken + 1) > allowed) return false;
  ++newest.taken;
  return true;
}

/// The step of `now`, after those that fell out of the window were cleared. A `now` before the
/// newest one (threads race) counts as the newest.
RatioBudget::Step& RatioBudget::Now(core::Clock::time_point now) {
  const core::Clock::rep number = now.time_since_epoch() / (options_.window / kSteps);
  for (core::Clock::rep cleared = 0;
       newest_ < number && cleared < static_cast<core::Clock::rep>(kSteps); ++cleared) {
    ++newest_;
    if (cleared == 0 && number - newest_ >= static_cast<core::Clock::rep>(kSteps)) {
      newest_ = number - static_cast<core::Clock::rep>(kSteps) + 1;  // Nothing of it is left.
    }
    steps_[static_cast<size_t>(newest_) % kSteps] = {};
  }
  return steps_[static_cast<size_t>(newest_) % kSteps];
}

}  // namespace orchard::experts
