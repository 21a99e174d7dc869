#pragma once

#include <condition_variable>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "orchard/v1/demand.grpc.pb.h"
#include "router/demand_board.h"
#include "router/peer_state.h"

namespace orchard::router {

/// One address of another router: a channel, and the v1::Demand.Watch call that is open to it,
/// whose reports go to the board. Nothing is retried by itself: Look() does, now and then.
/// Thread-safe.
class Peer {
 public:
  /// `authority`: as experts::internal::Endpoint's. The board outlives it.
  Peer(DemandBoard& board, std::string address, const std::string& authority,
       const std::shared_ptr<grpc::ChannelCredentials>& credentials, core::Clock::time_point now);
  /// Ends the call and waits for that. Not on a thread of gRPC, which may not let the last channel
  /// go (experts/internal/call_group.h).
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const std::string& address() const { return address_; }

  /// Opens the call when there is none, hangs up on one that was silent for `patience`, and writes
  /// what has become of it since the last look into the log.
  void Look(core::Clock::time_point now, core::Clock::duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// No call is opened any more, and the one that is open is cancelled.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  /// Whether no call is open.
  bool idle() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Nothing when it is this very process.
  std::optional<PeerState> State(core::Clock::time_point now, core::Clock::duration patience) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class WatchCall;

  void Open() ABSL_LOCKS_EXCLUDED(mutex_);
  void Heard(const v1::DemandReport& report) ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<grpc::ClientContext> TakeContext() ABSL_LOCKS_EXCLUDED(mutex_);
  void Ended(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  DemandBoard& board_;
  const std::string address_;
  const core::Clock::time_point made_;
  const std::shared_ptr<grpc::Channel> channel_;  // shared with the stub, as gRPC wants it
  const std::unique_ptr<v1::Demand::Stub> stub_;

  mutable core::Mutex mutex_;
  std::condition_variable ended_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);  // shared with the call
  core::Clock::time_point opened_ ABSL_GUARDED_BY(mutex_){};
  std::optional<core::Clock::time_point> heard_ ABSL_GUARDED_BY(mutex_);  // last
  bool self_ ABSL_GUARDED_BY(mutex_) = false;
  bool foreign_ ABSL_GUARDED_BY(mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;  // a call ended since it was heard
  std::string reason_ ABSL_GUARDED_BY(mutex_);   // of that
  PeerState logged_ ABSL_GUARDED_BY(mutex_) = PeerState::kConnecting;
};

}  // namespace orchard::router
