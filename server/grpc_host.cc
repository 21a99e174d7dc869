#include "server/grpc_host.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include "core/mutex.h"
#include "core/status.h"
#include "server/internal/acceptor.h"
#include "server/internal/health_service.h"
#include "server/internal/heartbeat.h"
#include "server/internal/listen_socket.h"

namespace orchard::server {
namespace {

constexpr int kMiB = 1 << 20;
constexpr int kBacklog = 4096;  // The kernel cuts it at net.core.somaxconn.

/// Of the whole process, not thread-safe, and before a builder is made.
void EnableReflection() {
  static std::once_flag once;
  std::call_once(once, [] { grpc::reflection::InitProtoReflectionServerBuilderPlugin(); });
}

int ClampToInt(std::int64_t value) {
  return static_cast<int>(std::clamp<std::int64_t>(value, 0, std::numeric_limits<int>::max()));
}

void ApplyLimits(const GrpcLimits& limits, grpc::ServerBuilder& builder) {
  const auto receive = static_cast<std::int64_t>(limits.max_message_bytes) + kMiB;
  builder.SetMaxReceiveMessageSize(ClampToInt(receive));
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             ClampToInt(limits.handshake_timeout.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             ClampToInt(limits.min_ping_interval.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ClampToInt(limits.keepalive_time.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             ClampToInt(limits.keepalive_timeout.count()));
  if (limits.connection_age.count() > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               ClampToInt(limits.connection_age.count()));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               ClampToInt(limits.connection_grace.count()));
  }
  builder.SetResourceQuota(grpc::ResourceQuota("orchard").Resize(limits.memory_bytes));
  // Decompression is a bomb's door, and pictures and features do not compress.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
}

using Incoming = grpc::experimental::ExternalConnectionAcceptor;

/// A connection to gRPC's transports.
void HandOver(Incoming& incoming, int listener, int socket) {
  Incoming::NewConnectionParameters connection;
  connection.listener_fd = listener;
  connection.fd = socket;
  incoming.HandleNewConnection(&connection);
}

}  // namespace

struct GrpcHost::State {
  explicit State(std::vector<std::string> names) : health(std::move(names)) {}

  internal::HealthService health;  // Before the server, so that it dies after it.
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Incoming> incoming;
  std::unique_ptr<internal::Acceptor> acceptor;
  std::unique_ptr<internal::Heartbeat> heartbeat;
  std::chrono::milliseconds heartbeat_patience{};
  std::vector<std::function<void()>> end_streams;
  core::Mutex mutex;
  bool serving ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::atomic<bool> complete = true;
};

GrpcHost::GrpcHost(std::unique_ptr<State> state) : state_(std::move(state)) {}

GrpcHost::~GrpcHost() { Shutdown(std::chrono::steady_clock::now()); }

absl::StatusOr<std::unique_ptr<GrpcHost>> GrpcHost::Start(
    const Address& listen, const std::vector<HostedService>& services, const GrpcLimits& limits,
    const std::vector<std::string>& more_health_names,
    const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  ORCHARD_ASSIGN_OR_RETURN(internal::ListenSockets listeners, internal::Listen(listen, kBacklog));
  EnableReflection();
  std::vector<std::string> names = more_health_names;
  names.emplace_back();
  for (const HostedService& hosted : services) names.push_back(hosted.name);
  auto state = std::make_unique<State>(std::move(names));
  grpc::ServerBuilder builder;
  ApplyLimits(limits, builder);
  state->incoming = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      credentials ? credentials : grpc::InsecureServerCredentials());
  builder.RegisterService(&state->health);
  for (const HostedService& hosted : services) {
    builder.RegisterService(hosted.service);
    if (hosted.end_streams) state->end_streams.push_back(hosted.end_streams);
  }
  state->server = builder.BuildAndStart();
  if (state->server == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("gRPC can't serve on ", listen.ToString(), ": see its own log lines"));
  }
  state->heartbeat_patience = limits.heartbeat_patience;
  // Not before the server runs: it drops what comes earlier.
  state->acceptor = std::make_unique<internal::Acceptor>(
      std::move(listeners.sockets),
      internal::Acceptor::Options{.max_connections = limits.max_connections},
      [incoming = state->incoming.get()](int listener, int socket) {
        HandOver(*incoming, listener, socket);
      });
  std::unique_ptr<GrpcHost> host(new GrpcHost(std::move(state)));
  host->address_ = std::move(listeners.bound);
  host->state_->heartbeat =
      std::make_unique<internal::Heartbeat>(host->InProcessChannel(), limits.heartbeat);
  return host;
}

void GrpcHost::SetServing(bool serving) {
  core::MutexLock lock(state_->mutex);
  if (state_->stopped) return;
  state_->serving = serving;
  state_->health.SetServing(serving);  // Under the lock, so that no older state is told last.
}

bool GrpcHost::serving() const {
  core::MutexLock lock(state_->mutex);
  return state_->serving;
}

std::shared_ptr<grpc::Channel> GrpcHost::InProcessChannel() {
  return state_->server->InProcessChannel(grpc::ChannelArguments());
}

bool GrpcHost::alive() const { return state_->heartbeat->silence() < state_->heartbeat_patience; }

bool GrpcHost::accepting() const { return state_->acceptor->accepting(); }

bool GrpcHost::Shutdown(std::chrono::steady_clock::time_point deadline) {
  SetServing(false);
  {
    core::MutexLock lock(state_->mutex);
    if (state_->stopped) return state_->complete;
    state_->stopped = true;
  }
  state_->acceptor->Stop();  // While the server still takes what is being handed over.
  state_->heartbeat->Stop();
  state_->health.EndWatches();
  for (const std::function<void()>& end : state_->end_streams) end();
  const auto left = std::max(deadline - std::chrono::steady_clock::now(),
                             std::chrono::steady_clock::duration::zero());
  state_->server->Shutdown(std::chrono::system_clock::now() + left);
  state_->server->Wait();
  state_->complete = std::chrono::steady_clock::now() < deadline;
  return state_->complete;
}

}  // namespace orchard::server
