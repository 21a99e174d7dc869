#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "experts/endpoint_choice.h"
#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "orchard/v1/tensor.pb.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::experts {

namespace internal {
class CallGroup;
class Endpoint;
}  // namespace internal

struct RemoteExpertOptions {
  v1::DType dtype = v1::FP32;  ///< how features travel: FP32, FP16 or BF16
  std::chrono::milliseconds initial_backoff{200};
  std::chrono::milliseconds max_backoff{5'000};     ///< between attempts to connect
  std::chrono::milliseconds probe_interval{5'000};  ///< of an endpoint that holds another model
  /// An endpoint answered FAILED_PRECONDITION: it serves another encoder's expert. For a counter
  /// and a log line; runs on a gRPC thread, must not wait. May be empty.
  std::function<void(const std::string& address, const std::string& message)>
      on_fingerprint_mismatch{};
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  ///< null: in the clear
  std::uint64_t seed = 0;  ///< of the choice between endpoints
};

/// An expert behind one or more addresses. Thread-safe; no thread per call, none of its own.
///
/// Each address has one channel, whose health is watched. A call goes to the less busy one of two
/// random healthy addresses; when it fails in a way that another address may cure (UNAVAILABLE,
/// CANCELLED, an expert of another model), it goes once more, to another address, if the deadline
/// allows. `done` runs on a thread of gRPC: it must hand over and not wait.
class RemoteExpert final : public Expert {
 public:
  /// Starts no connection yet: Warm(), or the first call.
  /// Errors: INVALID_ARGUMENT for no address, or one that is not HOST:PORT.
  static absl::StatusOr<std::unique_ptr<RemoteExpert>> Create(
      ExpertSpec spec, const std::vector<std::string>& addresses, RemoteExpertOptions options = {});

  ~RemoteExpert() override;  ///< Stop().
  RemoteExpert(const RemoteExpert&) = delete;
  RemoteExpert& operator=(const RemoteExpert&) = delete;

  /// Errors, besides those of the expert itself: UNAVAILABLE when all endpoints are down, naming
  /// them; DEADLINE_EXCEEDED; INTERNAL for an answer that is none (NaN, another shape); those of
  /// WriteRequest. Except for the first and the last, the endpoint is named.
  void Score(SubBatch batch, CallContext context, Done done) override;

  /// Cancels what is in progress and waits until its `done`s have run.
  void Stop() override;

  /// Nothing while an endpoint is not known to be down. Also what wakes idle channels and probes
  /// endpoints that held another model: ask it often, it costs a microsecond.
  std::optional<MissingReason> Unavailable() const override;

  /// Connects, and waits until each endpoint is connected or has failed, or until `deadline`.
  /// Before readiness, so that the first request finds connections; a router is ready whatever
  /// this says. Errors: UNAVAILABLE naming the endpoints that are not connected.
  absl::Status Warm(core::Clock::time_point deadline);

  struct EndpointState {
    std::string address;
    EndpointHealth health;
  };
  /// For logs and listings.
  std::vector<EndpointState> Endpoints() const;

 private:
  struct Call;

  RemoteExpert(ExpertSpec spec, RemoteExpertOptions options);

  std::optional<size_t> Choose(std::optional<size_t> except) const;
  std::vector<EndpointView> Views() const;
  void Attempt(std::shared_ptr<Call> call, size_t index);
  void Answered(std::shared_ptr<Call> call, absl::Status status);
  bool MayRetry(const Call& call, const absl::Status& status) const;
  void NoteForeign(internal::Endpoint& endpoint, const absl::Status& status);
  void Probe(internal::Endpoint& endpoint) const;
  absl::Status AllDown() const;

  const ExpertSpec spec_;
  const RemoteExpertOptions options_;
  std::vector<std::unique_ptr<internal::Endpoint>> endpoints_;
  mutable std::atomic<std::uint64_t> choices_;
  const std::unique_ptr<internal::CallGroup> calls_;  // Last: what it waits for uses the rest.
};

}  // namespace orchard::experts
