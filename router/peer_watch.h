#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include <grpcpp/security/credentials.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "experts/resolver.h"
#include "experts/target.h"
#include "router/demand_board.h"
#include "router/peer.h"

namespace orchard::router {

/// Watches the demand of the other routers of a fleet, and puts it on the board: but only while
/// somebody asks for the sum, and a minute longer. Of 500 routers one is asked, mostly; that all
/// watch all would be 250,000 connections. Thread-safe; the board outlives it.
///
/// A peer that can't be reached is tried again each second, and is never a reason for a call to
/// fail: what it wants is missing in the sum. This router among its own peers is found by its
/// instance, and let go.
class PeerWatch {
 public:
  struct Options {
    std::vector<experts::Target> targets;
    std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  ///< null: in the clear
    std::chrono::milliseconds dns_interval{5'000};
    experts::Resolver::LookUp look_up = experts::LookUpHost;
    core::Clock::duration keep = std::chrono::minutes(1);  ///< on watching, unasked
  };

  PeerWatch(DemandBoard& board, Options options);
  /// Ends the calls and waits for them. Not on a thread of gRPC.
  ~PeerWatch();
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

  /// Somebody wants the sum: watch, from now on and for a while.
  void Asked() ABSL_LOCKS_EXCLUDED(mutex_);

  /// Whether every peer was heard, or found not to be worth waiting for.
  bool Heard() ABSL_LOCKS_EXCLUDED(mutex_);

  /// By PeerState; all 0 while it does not watch. This router itself is none of them.
  std::array<size_t, kPeerStates> Counts() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Look() ABSL_LOCKS_EXCLUDED(mutex_);
  void LookUpNames() ABSL_LOCKS_EXCLUDED(mutex_);
  void ForgetNames() ABSL_LOCKS_EXCLUDED(mutex_);
  void Found(const std::string& host, const absl::StatusOr<experts::HostAddresses>& found)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void MatchPeers(bool watching, core::Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Watching(core::Clock::time_point now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return asked_ && now - *asked_ < options_.keep;
  }

  struct NameFound {
    experts::Resolver::Watch watch = 0;
    bool looked_up = false;
    experts::HostAddresses addresses = {};
  };

  DemandBoard& board_;
  const Options options_;
  core::Mutex mutex_;
  std::optional<core::Clock::time_point> asked_ ABSL_GUARDED_BY(mutex_);
  bool matched_ ABSL_GUARDED_BY(mutex_) = false;  // peers_ are those that are to be watched
  std::map<std::string, NameFound> names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);
  // Those that went, until their calls are over: gRPC's threads may not be the last to hold them.
  std::vector<std::shared_ptr<Peer>> gone_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<experts::Resolver> resolver_;  // null: no target is a name to look up
  DemandBoard::Subscription subscription_ = 0;
};

}  // namespace orchard::router
