#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

#include "core/clock.h"

/// \file
/// What is said to whom is not let in: which limit it was, and when to come again.

namespace orchard::router {

/// Which limit refused: the label `reason` of orchard_shed_total.
enum class Shed : std::uint8_t {
  kInFlight,       ///< all places are taken, and nobody has more than the one who asks
  kCallerShare,    ///< the caller has its share of the places, or had more and another came
  kBatchPriority,  ///< a batch request, and interactive ones need the place
  kQueue,          ///< enough wait to be decoded
  kBytes,          ///< the pictures held already take the memory that they may
  kDeadline,       ///< the deadline can't be kept
};
inline constexpr size_t kSheds = 6;

/// "in_flight", "caller_share", …
std::string_view Name(Shed reason);

/// An error that says which limit it was (rpc::ErrorInfoOf: OVERLOADED or DEADLINE, with the Shed's
/// name as `limit`) and when to come again
/// (rpc::PushbackOf): not before `room_in`, at least 10 ms, so that nobody comes again in a
/// tight loop, and at most 10 s. A deadline that can't be kept has no such time. `message` names
/// value and limit.
absl::Status Refusal(Shed reason, std::string_view message, core::Clock::duration room_in);

/// Which limit refused; absent when none did.
std::optional<Shed> ShedBy(const absl::Status& status);

}  // namespace orchard::router
