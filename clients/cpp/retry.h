#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "absl/status/status.h"

/// \file
/// Whether and when a call is made again: decisions, as functions of what is known.

namespace orchard::client {

/// How one attempt of a call ended, when it did not succeed.
struct Failure {
  absl::Status status;
  /// What the server said in `grpc-retry-pushback-ms`: not before this time, or, when it is
  /// negative, not at all.
  std::optional<std::chrono::milliseconds> pushback = std::nullopt;
};

enum class Next {
  kGiveUp,     ///< the status is the call's
  kElsewhere,  ///< this server won't answer: another one may; counted
  kLater,      ///< the server is there and busy: it may answer when there is room
};

/// What follows a failure. UNAVAILABLE and CANCELLED are a server that is gone or going,
/// RESOURCE_EXHAUSTED with a pushback one that is busy; all else is about the picture or the time
/// that it had. RESOURCE_EXHAUSTED without one is gRPC's own word: the message is over what that
/// server receives, which no waiting cures, or its memory is short. Another may take it, and the
/// attempts are counted. A server that forbids to ask again, or says that no expert answered
/// (NO_EXPERT), has done all the work already: nobody is asked to do it again.
Next Judge(const Failure& failure);

/// Whether the next call had better begin at another server: this one is gone, said nothing until
/// the deadline (it may be cut off, and then nothing else would tell), or has no experts.
bool TurnsAway(const absl::Status& status);

/// How long to wait before a server is asked for the `round`th time again (from 1) in one call:
/// 50 ms, doubling up to 1 s; of that, between half and all by `chance` in [0, 1), so that callers
/// that failed together do not come back together.
std::chrono::milliseconds Backoff(size_t round, double chance);

}  // namespace orchard::client
