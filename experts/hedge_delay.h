#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "core/clock.h"

namespace orchard::experts {

/// After what time an answer is later than nineteen of twenty lately were: when it pays to ask
/// someone else. Pure: durations are arguments. Not thread-safe: the owner locks.
class HedgeDelay {
 public:
  /// An answer took so long.
  void Answered(core::Clock::duration took);

  /// The 95th percentile of the last answers; nothing before kEnough of them.
  std::optional<core::Clock::duration> Delay() const { return delay_; }

 private:
  static constexpr size_t kKept = 128;   // answers
  static constexpr size_t kEnough = 20;  // below, the 95th percentile means nothing
  static constexpr size_t kRefresh = 8;  // answers between two looks: sorting is not free

  std::array<core::Clock::duration, kKept> took_{};  // a ring
  size_t count_ = 0;                                 // ever
  std::optional<core::Clock::duration> delay_;
};

}  // namespace orchard::experts
