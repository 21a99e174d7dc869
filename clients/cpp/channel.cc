#include "clients/cpp/channel.h"

#include <algorithm>
#include <chrono>

#include <grpc/support/time.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/time.h>

#include "rpc/channel_arguments.h"

namespace orchard::client {
namespace {

/// Between two look-ups of a server's name. gRPC's own 30 s outlast a roll-out: all addresses that
/// it knows may be gone by then.
constexpr int kLookUpMs = 1'000;

gpr_timespec Until(core::Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(
      std::max(core::Clock::duration::zero(), deadline - core::Clock::now()));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_micros(left.count(), GPR_TIMESPAN));
}

}  // namespace

// No retries at all: gRPC's would buffer each picture and know one server only.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  using std::chrono::milliseconds;
  grpc::ChannelArguments arguments =
      rpc::ConnectionArguments({.keepalive_timeout = milliseconds(5'000),
                                .first_backoff = milliseconds(200),
                                .connect_timeout = milliseconds(5'000)});
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kLookUpMs);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
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
