#include "rpc/channel_arguments.h"

namespace orchard::rpc {

grpc::ChannelArguments ConnectionArguments(const ConnectionOptions& options) {
  grpc::ChannelArguments arguments;
  const auto set = [&arguments](const char* key, std::chrono::milliseconds time) {
    arguments.SetInt(key, static_cast<int>(time.count()));
  };
  if (!options.authority.empty()) {
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, options.authority);
  }
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, options.keepalive);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options.keepalive_timeout);
  if (options.keepalive_when_idle) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  set(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, options.first_backoff);
  set(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, options.most_backoff);
  set(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, options.connect_timeout);
  return arguments;
}

}  // namespace orchard::rpc
