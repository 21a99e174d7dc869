#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "core/timer_queue.h"
#include "experts/endpoint_state.h"
#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "experts/fleet_events.h"
#include "experts/hedge_delay.h"
#include "experts/ratio_budget.h"
#include "experts/resolver.h"
#include "experts/target.h"
#include "orchard/v1/tensor.pb.h"

namespace grpc {
class ChannelCredentials;
}

namespace orchard::experts {

namespace internal {
class CallGroup;
class Domain;
class Endpoint;
}  // namespace internal

struct RemoteExpertOptions {
  v1::DType dtype = v1::FP32;  ///< how features travel: FP32, FP16 or BF16
  /// Of every channel; null: none, in the clear.
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  std::chrono::milliseconds initial_backoff{200};
  std::chrono::milliseconds max_backoff{1'000};     ///< between attempts to connect
  std::chrono::milliseconds tend_interval{200};     ///< between two looks at the channels
  std::chrono::milliseconds probe_interval{1'000};  ///< of an endpoint that is foreign or silent
  std::chrono::milliseconds probe_timeout{1'000};
  bool hedge = true;  ///< whether a late call is joined by one to another endpoint
  /// Looks names up; may serve several experts. Null: one of its own. Outlives the expert.
  Resolver* resolver = nullptr;
  /// Tends and hedges; as above.
  core::TimerQueue* timers = nullptr;
  FleetEvents events{};
  std::uint64_t seed = 0;  ///< of the choice between endpoints
  /// Endpoints to connect to at most, of those that can be used (subset.h); 0: all.
  size_t subset = 0;
  std::uint64_t router = 0;  ///< who we are, where a subset is chosen
};

/// An expert behind one or more addresses. Thread-safe; no thread per call.
///
///   Resolver ──addresses──► EndpointSet (a snapshot) ──Pick──► Attempt ─┐
///                           one Endpoint an address            Attempt ─┴► Call ─► answer, once
///
/// Each address has one channel, whose health is watched by a timer and never by a question. A call
/// goes to the cheaper one of two random addresses (endpoint_choice.h); when it fails in a way that
/// another address may cure, it goes there, within a budget; when it takes longer than nineteen of
/// twenty did, another address is asked as well, and the first answer counts. An address that
/// fails again and again is left alone and probed (ejection.h, endpoint_state.h). Addresses come
/// and go; one that went lives until its last attempt has ended.
///
/// `done` runs on a thread of gRPC: it must hand over and not wait.
class RemoteExpert final : public Expert {
 public:
  /// Connects at once, waits for nothing. No target: it is down until SetTargets() names one.
  RemoteExpert(ExpertSpec spec, std::vector<Target> targets, RemoteExpertOptions options = {});

  /// The same from texts, as a setting has them. Errors: INVALID_ARGUMENT for no address, or one
  /// that is none.
  static absl::StatusOr<std::unique_ptr<RemoteExpert>> Create(
      ExpertSpec spec, const std::vector<std::string>& targets, RemoteExpertOptions options = {});

  ~RemoteExpert() override;  ///< Stop().
  RemoteExpert(const RemoteExpert&) = delete;
  RemoteExpert& operator=(const RemoteExpert&) = delete;

  /// Errors, besides those of the expert itself: UNAVAILABLE when nobody can be asked, naming the
  /// endpoints; DEADLINE_EXCEEDED; CANCELLED when the context asked for it; INTERNAL for an answer
  /// that is none (NaN, another shape); those of WriteRequest. Except for the first and the last,
  /// the endpoint is named.
  void Score(SubBatch batch, CallContext context, Done done) override;

  /// Cancels what is in progress and waits until its `done`s have run.
  void Stop() override;

  std::optional<MissingReason> Unavailable() const override;

  /// Names are looked up, at most each 200 ms, and channels looked at.
  void Hurry() override;

  /// Where the experts are from now on. Endpoints of addresses that stay are kept as they are.
  void SetTargets(std::vector<Target> targets);

  /// Waits until each endpoint is connected or has failed, or until `deadline`. Before readiness,
  /// so that the first request finds connections; a router is ready whatever this says.
  /// Errors: UNAVAILABLE naming the endpoints that are not connected.
  absl::Status Warm(core::Clock::time_point deadline);

  struct EndpointInfo {
    std::string address;
    EndpointState state = EndpointState::kConnecting;
    size_t in_flight = 0;                           ///< rows of ours
    double latency_seconds = 0.0;                   ///< 0 before the first answer
    std::string part_version, encoder_fingerprint;  ///< as it said itself; empty before
  };
  /// For listings and gauges: those that are connected to, or were tried in vain.
  std::vector<EndpointInfo> Endpoints() const;

  /// What a row takes of one replica, over all of them (mean_service_time.h); nothing before the
  /// first one said so.
  std::optional<double> ServiceSeconds() const;

  /// Attempts and probes in progress.
  size_t outstanding() const;

 private:
  std::unique_ptr<core::TimerQueue> own_timers_;  // These first: the domain uses them.
  std::unique_ptr<Resolver> own_resolver_;
  std::unique_ptr<internal::Domain> domain_;
};

}  // namespace orchard::experts
