#pragma once

#include <chrono>
#include <cstddef>

#include "absl/status/status.h"

#include "core/clock.h"

/// \file
/// When an address that fails again and again is left alone, and for how long. Pure: time is an
/// argument.

namespace orchard::experts {

/// Faults in a row after which an address is bad.
inline constexpr size_t kFaultsToEject = 5;

/// Failures that say something about the address and not about the call.
bool IsFault(absl::StatusCode code);

/// One address's faults. Plain data; the owner locks.
///
/// After kFaultsToEject faults in a row it is bad, and is to be left alone for a second; each time
/// that it turns out to be bad again before it has answered, for twice as long, up to a minute.
/// When that time is over it is on trial: it gets a probe, and if that succeeds one call; the
/// call's answer makes it good, its failure makes it bad again.
class Ejection {
 public:
  static constexpr std::chrono::seconds kShortest{1};
  static constexpr std::chrono::seconds kLongest{60};

  /// An answer came: whatever was, is forgotten.
  void Succeeded();

  /// A call failed by the address's fault.
  void Failed(core::Clock::time_point now);

  /// It was found not to answer a probe: bad at once, however many calls have failed.
  void Silent(core::Clock::time_point now);

  /// A probe was answered: one call may try.
  void ProbeSucceeded();

  bool bad() const { return faults_ >= kFaultsToEject; }
  /// Bad, but a probe was answered: worth one call at a time.
  bool on_trial() const { return bad() && on_trial_; }
  core::Clock::time_point bad_since() const { return bad_since_; }

  /// Whether its time is over, so that a probe may go. `all_bad`: nobody else answers for the
  /// domain either; then it is asked each second, whatever it did before.
  bool MayProbe(core::Clock::time_point now, bool all_bad) const;

  /// For how long it was sent out last; 0 when it never was since it last answered.
  core::Clock::duration time_out() const { return time_out_; }

 private:
  void SendOut(core::Clock::time_point now);

  size_t faults_ = 0;
  bool on_trial_ = false;
  core::Clock::duration time_out_{};
  core::Clock::time_point sent_out_{}, bad_since_{};
};

}  // namespace orchard::experts
