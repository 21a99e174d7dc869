#include "experts/mean_service_time.h"

#include <algorithm>
#include <cmath>

namespace orchard::experts {
namespace {

/// The other end may say anything.
bool IsServiceTime(double seconds) { return seconds > 0.0 && seconds <= 3600.0; }

}  // namespace

void MeanServiceTime::Said(double seconds, core::Clock::time_point now) {
  if (!IsServiceTime(seconds)) return;
  if (!answered_) {
    seconds_ = seconds;
  } else {
    const double passed = std::max(0.0, core::Seconds(now - then_)) / core::Seconds(fade_);
    *seconds_ += (1.0 - std::exp(-passed)) * (seconds - *seconds_);
  }
  answered_ = true;
  then_ = std::max(then_, now);
}

void MeanServiceTime::Described(double seconds) {
  if (!answered_ && IsServiceTime(seconds)) seconds_ = seconds;
}

}  // namespace orchard::experts
