#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "experts/attempt_log.h"

/// \file
/// Which of several addresses gets a call. Pure: chance is an argument.

namespace orchard::experts {

/// One address that could be chosen.
struct Candidate {
  bool usable = true;      ///< Verdict::usable, and not tried by this call before
  bool connected = true;   ///< those that are not come last
  bool up = true;          ///< EndpointState::kUp
  bool resting = false;    ///< EndpointLoad::Resting(): after the others that are connected
  double cost = 0.0;       ///< EndpointLoad::Cost()
  std::int64_t given = 0;  ///< rows that it was given lately; kNeverGiven: it is new
};

inline constexpr std::int64_t kNeverGiven = -1;

/// Costs that differ by less are one: below it is the noise of measuring.
inline constexpr double kEqualCosts = 1.25;

/// What one address may have been given less than the one that is chosen: so much it catches up.
/// More is forgotten, or an address that was away would get everything when it comes back.
inline constexpr std::int64_t kMostBehind = 48;

/// Those that could not be given anything now, and those that are new, stand where the one that was
/// given most stands: who comes, or comes back, is owed nothing for the time when it was not there.
/// Before calls that went there or not change what is usable.
void ForgetDebts(std::span<Candidate> candidates);

/// Whether a call may go there for that reason. An extra try is no use where patience was asked
/// for, and a hedge none where a connection must be made first.
bool Fits(const Candidate& candidate, AttemptRecord::Kind kind);

/// Two different ones by chance, the cheaper of them (power of two choices): nearly as even as
/// asking for the cheapest, without all routers running to the same one. Of two that cost the same,
/// the one that was given less, and chance decides while that is the same too. Those that rest come
/// before those that are not connected: a refusal costs less than an attempt to connect in vain.
/// `chance`: 64 uniform bits. Returns nothing when none is usable.
std::optional<size_t> Pick(std::span<const Candidate> candidates, std::uint64_t chance);

/// The `count`-th of a row of chances: first draws of Pick() that are even over short stretches too
/// (multiples of the golden ratio), second ones that follow from nothing (SplitMix64).
std::uint64_t Chance(std::uint64_t count);

}  // namespace orchard::experts
