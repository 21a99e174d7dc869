#include "clients/cpp/channel.h"

#include <algorithm>

#include <grpc/support/time.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/time.h>

namespace orchard::client {
namespace {

constexpr int kKeepaliveMs = 15'000;  // the servers allow 10 s (server/grpc_host.h)
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kConnectTimeoutMs = 5'000;  // of one try. A host that is gone sends no refusal
constexpr int kFirstReconnectMs = 200;
constexpr int kMostReconnectMs = 5'000;

gpr_timespec Until(core::Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(
      std::max(core::Clock::duration::zero(), deadline - core::Clock::now()));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_micros(left.count(), GPR_TIMESPAN));
}

}  // namespace

// The same list, for the same reasons, as of a router's channels to experts:
// experts/internal/endpoint.cc. What differs: no health to watch, and no retries at all, because
// gRPC's would buffer each picture and know one server only.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // --server means that server.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMostReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  return grpc::CreateCustomChannel(server, credentials, arguments);
}

bool IsConnectedBy(grpc::Channel& channel, core::Clock::time_point deadline) {
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel.WaitForStateChange(state, Until(deadline))) return false;
  }
}

void SetDeadline(grpc::ClientContext& context, core::Clock::time_point deadline) {
  context.set_deadline(Until(deadline));
}

}  // namespace orchard::client
