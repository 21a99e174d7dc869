#pragma once

#include <chrono>
#include <optional>

#include "core/clock.h"

namespace orchard::experts {

/// What a row takes of one replica, over all replicas of a domain: each says its own beside its
/// answers (service_time.h), and as answers come from all of them, their mean is of all.
///
/// It fades by time and not by answers: after `fade` an old word counts for a third of what it did,
/// however many have come since. Before the first answer, and while none comes, it is what was
/// known last. Time is an argument. Not thread-safe: the owner locks.
class MeanServiceTime {
 public:
  explicit MeanServiceTime(core::Clock::duration fade = std::chrono::seconds(10)) : fade_(fade) {}

  /// A replica said `seconds` a row; 0 says nothing.
  void Said(double seconds, core::Clock::time_point now);

  /// A replica that was asked what it is said so: counts only before all answers.
  void Described(double seconds);

  /// Seconds a row; nothing before a replica said something.
  std::optional<double> seconds() const { return seconds_; }

 private:
  const core::Clock::duration fade_;
  std::optional<double> seconds_;
  bool answered_ = false;
  core::Clock::time_point then_{};  // of the last answer
};

}  // namespace orchard::experts
