#include "experts/internal/endpoint.h"

#include <limits>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace orchard::experts::internal {
namespace {

/// round_robin, although a channel has one address: it is the policy that watches health and stays
/// connected. No retry here: ours goes to another address. Source: serving.md sections 1.5, 1.9.
constexpr char kServiceConfig[] =
    R"({"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}})";

constexpr int kRetryBufferBytes = 8 << 20;  // transparent retries of a whole batch of maps
constexpr int kKeepaliveMs = 30'000;        // the servers allow 10 s (server/grpc_host.h)
constexpr int kKeepaliveTimeoutMs = 10'000;
// Also how long one attempt to connect may take. A host that is gone sends no refusal.
constexpr int kConnectTimeoutMs = 2'000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const ReconnectOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // Nothing but settings reads the environment.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kRetryBufferBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, std::numeric_limits<int>::max());
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   static_cast<int>(options.initial_backoff.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(options.max_backoff.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  return grpc::CreateCustomChannel(
      address, options.credentials ? options.credentials : grpc::InsecureChannelCredentials(),
      arguments);
}

/// Failures that say something about the endpoint and not about the call.
bool Blames(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kCancelled ||
         code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kResourceExhausted || code == absl::StatusCode::kInternal;
}

}  // namespace

Endpoint::Endpoint(std::string address, const ReconnectOptions& options)
    : address_(std::move(address)),
      channel_(MakeChannel(address_, options)),
      stub_(v1::Expert::NewStub(channel_)) {}

EndpointView Endpoint::View(Clock::time_point now) {
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
  core::MutexLock lock(mutex_);
  return {.health = Health(state), .cost = Cost(load_, now)};
}

EndpointHealth Endpoint::Health(grpc_connectivity_state state) {
  if (state == GRPC_CHANNEL_READY) failed_ = false;
  if (foreign_) {
    // A lost connection may come back with another model behind it: ask at once.
    if (state != GRPC_CHANNEL_READY) next_probe_ = {};
    return EndpointHealth::kDown;
  }
  switch (state) {
    case GRPC_CHANNEL_READY:
      return EndpointHealth::kUp;
    case GRPC_CHANNEL_IDLE:
    case GRPC_CHANNEL_CONNECTING:
      return failed_ ? EndpointHealth::kDown : EndpointHealth::kUnknown;
    default:
      failed_ = true;
      return EndpointHealth::kDown;
  }
}

void Endpoint::Started(size_t rows) {
  core::MutexLock lock(mutex_);
  load_.in_flight += rows;
}

void Endpoint::Ended(size_t rows, const absl::Status& status, Clock::duration duration,
                     size_t reported, Clock::time_point now) {
  core::MutexLock lock(mutex_);
  load_.in_flight -= rows;
  if (status.ok()) {
    load_.Answered(core::Seconds(duration), reported, now);
  } else if (Blames(status.code())) {
    load_.Failed(core::Seconds(duration), now);
  }
  if (absl::IsUnavailable(status) || absl::IsCancelled(status)) failed_ = true;
}

void Endpoint::SetForeign(bool foreign, Clock::time_point next_probe) {
  core::MutexLock lock(mutex_);
  foreign_ = foreign;
  next_probe_ = next_probe;
}

bool Endpoint::TakeProbe(Clock::time_point now, Clock::duration interval) {
  if (channel_->GetState(/*try_to_connect=*/false) != GRPC_CHANNEL_READY) return false;
  core::MutexLock lock(mutex_);
  if (!foreign_ || now < next_probe_) return false;
  next_probe_ = now + interval;
  return true;
}

}  // namespace orchard::experts::internal
