#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace orchard::router {

/// What is known of another router of the fleet: the label `state` of orchard_router_peers.
enum class PeerState : std::uint8_t {
  kUp,          ///< it reports
  kConnecting,  ///< it was not heard yet
  kForeign,     ///< it serves another model
  kDown,        ///< it can't be reached, or is silent
};
inline constexpr size_t kPeerStates = 4;

/// The label: "up", "connecting", ...
constexpr std::string_view Name(PeerState state) {
  constexpr std::array<std::string_view, kPeerStates> kNames = {"up", "connecting", "foreign",
                                                                "down"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace orchard::router
