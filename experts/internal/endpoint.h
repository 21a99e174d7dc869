#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "experts/ejection.h"
#include "experts/endpoint_choice.h"
#include "experts/endpoint_load.h"
#include "experts/endpoint_state.h"
#include "orchard/v1/expert.grpc.pb.h"

namespace orchard::experts::internal {

/// How a channel behaves.
struct ChannelOptions {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::chrono::milliseconds initial_backoff{200};
  std::chrono::milliseconds max_backoff{1'000};  ///< between attempts to connect
  size_t max_receive_bytes = 0;
};

/// What an expert says of the part behind an address.
struct PartSeen {
  std::string part_version, encoder_fingerprint, digest;
};

/// One address of an expert: its channel, how busy it is, and what is known about it. Thread-safe.
///
/// The channel's round_robin policy watches the server's health service and reconnects by itself;
/// Look() reads what it found. There is no thread here. It lives until its last attempt has ended
/// (shared with attempts), whatever has become of its address.
class Endpoint {
 public:
  using Clock = core::Clock;
  using Ticket = EndpointLoad::Ticket;

  /// `authority`: HOST:PORT as the target names it, where `address` is what a look-up of HOST gave:
  /// the name that the server's certificate must have, and that calls say. Empty: the address.
  Endpoint(std::string address, std::string authority, const ChannelOptions& options);

  const std::string& address() const { return address_; }
  const std::string& authority() const { return authority_; }
  v1::Expert::Stub& stub() { return *stub_; }

  /// Reads the channel's state, and wakes it when it idles. Returns true when it was connected anew
  /// since the last look: another process may stand there now, so what it did is forgotten.
  bool Look() ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits until the channel's state changes, at the longest so long. Connections come about only
  /// while some thread of the process polls, and before the first call or server none does: this
  /// one does while it waits.
  void AwaitChange(std::chrono::milliseconds longest);

  EndpointFacts Facts() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// How it stands among the others of its domain; set by who judges, read without a lock.
  void SetVerdict(EndpointState state, bool usable) {
    state_ = state;
    usable_ = usable;
  }
  EndpointState state() const { return state_; }

  /// What Pick() has to know.
  Candidate AsCandidate(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);
  /// It was chosen for `rows` rows. Returns Candidate::given from now on.
  std::int64_t Give(size_t rows) {
    const auto more = static_cast<std::int64_t>(rows);
    return given_.fetch_add(more) + more;
  }
  /// It counts as given `least` rows, if it was given less.
  void CatchUp(std::int64_t least) {
    std::int64_t given = given_;
    while (given < least && !given_.compare_exchange_weak(given, least)) {
    }
  }

  /// A call began.
  Ticket Started(size_t rows, Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Ended {
    Ticket ticket;
    absl::StatusCode code = absl::StatusCode::kOk;
    size_t reported = 0;  ///< rows in flight, as the expert said
    /// For how long it wants to be left alone, as it said when it refused.
    std::optional<std::chrono::milliseconds> pushback = std::nullopt;
    bool is_fault = false;   ///< the endpoint is to blame
    bool abandoned = false;  ///< we hung up
  };
  /// EndpointLoad::SetFade().
  void SetFade(Clock::duration fade) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    load_.SetFade(fade);
  }

  /// `message`: of a failure.
  void CallEnded(const Ended& ended, const std::string& message, Clock::time_point now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// It was seen to hold another model. Returns false when that was known.
  bool SetForeign(const std::string& message) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPart(PartSeen part) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPartVersion(const std::string& version) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Whether to ask it now what it holds and whether it still answers: when it was connected anew,
  /// is foreign, is bad and its time is over, or has left calls unanswered. Says so once; then a
  /// probe is in progress until ProbeEnded().
  bool TakeProbe(Clock::time_point now, Clock::duration interval, bool all_bad)
      ABSL_LOCKS_EXCLUDED(mutex_);
  /// `status` of the probe; `ours`: it holds what we want.
  void ProbeEnded(const absl::Status& status, bool ours, Clock::time_point now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// Why it is what it is, for a log line; empty when there is nothing to say.
  std::string Reason(EndpointState state) const ABSL_LOCKS_EXCLUDED(mutex_);

  struct Description {
    size_t in_flight = 0;
    double latency_seconds = 0.0;
    PartSeen part;
  };
  Description Describe(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::string address_;
  const std::string authority_;
  const std::shared_ptr<grpc::Channel> channel_;  // shared with the stub, as gRPC wants it
  const std::unique_ptr<v1::Expert::Stub> stub_;

  std::atomic<EndpointState> state_ = EndpointState::kConnecting;
  std::atomic<bool> usable_ = true;
  std::atomic<std::int64_t> given_ = kNeverGiven;

  mutable core::Mutex mutex_;
  EndpointLoad load_ ABSL_GUARDED_BY(mutex_);
  Ejection ejection_ ABSL_GUARDED_BY(mutex_);
  EndpointFacts::Link link_ ABSL_GUARDED_BY(mutex_) = EndpointFacts::Link::kConnecting;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;   // a call failed since it was last seen READY
  bool foreign_ ABSL_GUARDED_BY(mutex_) = false;  // holds another model
  bool new_ ABSL_GUARDED_BY(mutex_) = false;      // connected, and not yet asked what it holds
  bool renewed_ ABSL_GUARDED_BY(mutex_) = false;  // perhaps too: it failed, and is READY
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;   // left a call unanswered since its last answer
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t silent_probes_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  Clock::time_point last_probe_ ABSL_GUARDED_BY(mutex_){};
  PartSeen part_ ABSL_GUARDED_BY(mutex_);
  std::string fault_ ABSL_GUARDED_BY(mutex_);  // what its last failure said
};

}  // namespace orchard::experts::internal
