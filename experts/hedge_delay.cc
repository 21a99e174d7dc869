#include "experts/hedge_delay.h"

#include <algorithm>

namespace orchard::experts {

void HedgeDelay::Answered(core::Clock::duration took) {
  took_[count_ % kKept] = took;
  ++count_;
  if (count_ < kEnough || (delay_ && count_ % kRefresh != 0)) return;
  const size_t kept = std::min(count_, kKept);
  std::array<core::Clock::duration, kKept> sorted = took_;
  const size_t rank = kept * 95 / 100;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                   sorted.begin() + static_cast<std::ptrdiff_t>(kept));
  delay_ = sorted[rank];
}

}  // namespace orchard::experts
