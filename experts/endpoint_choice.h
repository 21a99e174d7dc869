#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/clock.h"

/// \file
/// Which of several addresses gets a call. Pure: time and chance are arguments.

namespace orchard::experts {

/// What is known about an address.
enum class EndpointHealth : std::uint8_t {
  kUp,       ///< connected, and its health service says SERVING
  kUnknown,  ///< never tried, or being tried for the first time: worth a call
  kDown,     ///< it failed, is draining, or holds another model: not worth a call
};

/// How busy an address is, from what its calls told. Plain data; the owner locks.
struct EndpointLoad {
  size_t in_flight = 0;            ///< rows of ours that it has not answered yet
  size_t reported_in_flight = 0;   ///< rows of everyone, as it said itself in its last answer
  double latency_seconds = 0.0;    ///< moving average; 0 before the first answer
  core::Clock::time_point told{};  ///< when the last answer came

  /// A call ended after `seconds`; the expert said that it had `reported` rows in flight.
  void Answered(double seconds, size_t reported, core::Clock::time_point now);

  /// A call failed for a reason that is the endpoint's. Counted as a slow answer, or else an
  /// endpoint that fails at once would look quick and draw all calls to itself.
  void Failed(double seconds, core::Clock::time_point now);
};

/// What one more row would cost: expected seconds. What an endpoint told is forgotten while nobody
/// asks it, so that one bad moment does not exclude it for ever.
double Cost(const EndpointLoad& load, core::Clock::time_point now);

struct EndpointView {
  EndpointHealth health = EndpointHealth::kUnknown;
  double cost = 0.0;
};

/// Two different ones by chance, the cheaper of them (power of two choices): nearly as even as
/// asking for the least busy, without all routers running to the same one. Endpoints that are up
/// come first, unknown ones when none is; `except` is left out.
/// `chance`: 64 uniform bits. Returns nothing when all are down.
std::optional<size_t> ChooseEndpoint(std::span<const EndpointView> endpoints,
                                     std::optional<size_t> except, std::uint64_t chance);

}  // namespace orchard::experts
