#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "experts/endpoint_choice.h"
#include "orchard/v1/expert.grpc.pb.h"

namespace orchard::experts::internal {

/// How a channel is made, and how it behaves when its server is away.
struct ReconnectOptions {
  std::chrono::milliseconds initial_backoff{200};
  std::chrono::milliseconds max_backoff{5'000};
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  ///< null: in the clear
};

/// One address of an expert: its channel, how busy it is, and whether it is worth a call.
/// Thread-safe. Health is read from the channel when asked, whose round_robin policy watches the
/// server's health service and reconnects by itself: there is no thread here.
class Endpoint {
 public:
  using Clock = core::Clock;

  Endpoint(std::string address, const ReconnectOptions& options);

  const std::string& address() const { return address_; }
  v1::Expert::Stub& stub() { return *stub_; }
  grpc::Channel& channel() { return *channel_; }

  /// What is known now. Wakes a channel that idles.
  EndpointView View(Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// A call with `rows` rows was started, and how it ended.
  void Started(size_t rows) ABSL_LOCKS_EXCLUDED(mutex_);
  void Ended(size_t rows, const absl::Status& status, Clock::duration duration, size_t reported,
             Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// It was seen to hold another model (or not): down until a probe says otherwise.
  void SetForeign(bool foreign, Clock::time_point next_probe) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Whether to send a probe now; says so once, then not before `interval` has passed.
  bool TakeProbe(Clock::time_point now, Clock::duration interval) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  EndpointHealth Health(grpc_connectivity_state state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;  // shared with the stub, as gRPC wants it
  const std::unique_ptr<v1::Expert::Stub> stub_;
  core::Mutex mutex_;
  EndpointLoad load_ ABSL_GUARDED_BY(mutex_);
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;   // a call failed since it was last seen READY
  bool foreign_ ABSL_GUARDED_BY(mutex_) = false;  // holds another model
  Clock::time_point next_probe_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace orchard::experts::internal
