#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

#include "experts/endpoint_state.h"

namespace orchard::experts {

/// How a call that was sent to a second endpoint ended.
enum class HedgeResult : std::uint8_t {
  kWon,     ///< the second one answered first
  kLost,    ///< the first one did after all
  kFailed,  ///< neither gave an answer
};
inline constexpr size_t kHedgeResults = 3;

/// An endpoint became something else.
struct EndpointTransition {
  std::string address;
  EndpointState was, state;
  std::string reason;  ///< in words; may be empty
};

/// What a RemoteExpert tells about itself, for counters and logs. Runs on any thread, must be quick
/// and not come back. Each may be empty.
struct FleetEvents {
  std::function<void(const EndpointTransition&)> on_transition{};
  /// An endpoint turned out to serve another encoder's expert, or one that means something else.
  std::function<void()> on_mismatch{};
  /// NOT_FOUND: it has no address (any more); said once. Otherwise each time.
  std::function<void(const std::string& host, const absl::Status& why)> on_look_up_failed{};
  std::function<void()> on_retry{};
  std::function<void(HedgeResult)> on_hedge{};
};

}  // namespace orchard::experts
