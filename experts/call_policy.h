#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

#include "core/clock.h"
#include "experts/ratio_budget.h"

/// \file
/// How much a call may cost and how long silence may last (decision 12), in one place: for calls,
/// and for the simulation of a fleet. Pure.

namespace orchard::experts {

/// Twenty of a hundred calls, ten in ten seconds at least.
inline constexpr RatioBudget::Options kRetries{
    .ratio = 0.2, .at_least = 10, .window = std::chrono::seconds(10)};
/// Five of a hundred, over a time in which a domain that is seldom asked has a hundred.
inline constexpr RatioBudget::Options kHedges{
    .ratio = 0.05, .at_least = 0, .window = std::chrono::seconds(60)};
inline constexpr size_t kMaxAttempts = 3;  ///< of a call

inline constexpr int kLazy =
    5;  ///< rounds of looking at endpoints that are left out while all is well
/// While nobody can be asked, a probe in vain must not delay the next: back in two seconds.
inline constexpr std::chrono::milliseconds kUrgentProbe{500};
inline constexpr size_t kSilentProbes =
    2;  ///< in a row, until an address that answered before is bad
inline constexpr std::chrono::seconds kLongSilence{1};  ///< a call that waits longer makes us ask

/// How long an attempt must have had before its silence is a fault, by what is usual lately
/// (HedgeDelay). Of who is not known yet, the benefit of the doubt: probes find those that are
/// silent.
inline core::Clock::duration FairTime(std::optional<core::Clock::duration> usual) {
  constexpr core::Clock::duration kLeast = std::chrono::milliseconds(100);
  constexpr core::Clock::duration kMost = std::chrono::seconds(1);
  return usual ? std::clamp(4 * *usual, kLeast, kMost) : kMost;
}

/// What is known of an idle endpoint fades in so long: some calls' time.
inline core::Clock::duration Fade(core::Clock::duration usual) {
  constexpr int kCalls = 8;
  constexpr core::Clock::duration kLeast = std::chrono::milliseconds(20);
  constexpr core::Clock::duration kMost = std::chrono::seconds(1);
  return std::clamp(kCalls * usual, kLeast, kMost);
}

}  // namespace orchard::experts
