#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "experts/expert.h"

/// \file
/// What the addresses of a domain are worth together. Pure.

namespace orchard::experts {

/// The label `state` of orchard_expert_endpoints.
enum class EndpointState : std::uint8_t {
  kUp,          ///< connected, and its health service says SERVING
  kConnecting,  ///< never reached yet, and being tried: worth a call where nobody is up
  kEjected,     ///< connected, but it failed too often in a row: left alone, and probed
  kForeign,     ///< it serves another model, or means something else by this part
  kDown,        ///< it can't be reached, or is draining
};
inline constexpr size_t kEndpointStates = 5;

/// The label: "up", "connecting", ...
std::string_view Name(EndpointState state);

/// Adds "ADDRESS is STATE" to a `list` for people, after a comma where it is not the first.
void AppendStanding(std::string& list, const std::string& address, EndpointState state);

/// What is known about one address by itself.
struct EndpointFacts {
  enum class Link : std::uint8_t { kUp, kConnecting, kDown };

  Link link = Link::kConnecting;
  bool foreign = false;
  bool bad = false;  ///< Ejection::bad()
  core::Clock::time_point bad_since = {};
  bool trial = false;  ///< it is bad, a probe was answered, and no call is on its way: try one
};

/// Worth a call without a doubt: connected or being connected, of our model, and not failing.
bool IsSound(const EndpointFacts& facts);

/// What follows for the domain.
struct Verdict {
  std::vector<EndpointState> states;  ///< by address
  std::vector<bool> usable;           ///< by address: may be given a call now
  /// Why nobody can be asked; nothing: somebody can.
  std::optional<MissingReason> unavailable;
  /// Every address that can be reached is bad: they are all out, and probed each second.
  bool all_bad = false;
};

/// At most `most_ejected` addresses are ejected, those that turned bad first; the others that are
/// bad are still asked. When all that can be reached are bad, all are out: nobody would answer, and
/// waiting for them costs the callers' time.
Verdict Judge(std::span<const EndpointFacts> endpoints, size_t most_ejected);

/// The same with at most half of them.
inline Verdict Judge(std::span<const EndpointFacts> endpoints) {
  return Judge(endpoints, endpoints.size() / 2);
}

}  // namespace orchard::experts
