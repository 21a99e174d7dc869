#include "server/grpc_host.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>

#include "core/mutex.h"
#include "server/internal/health_service.h"
#include "server/internal/heartbeat.h"
#include "server/internal/listen_socket.h"

namespace orchard::server {
namespace {

constexpr int kMiB = 1 << 20;

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
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             ClampToInt(limits.handshake_timeout.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             ClampToInt(limits.min_ping_interval.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  // Decompression is a bomb's door, and pictures and features do not compress.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
}

/// gRPC only says that it could not; the system says why.
absl::Status WhyNot(const Address& listen) {
  const absl::StatusOr<internal::ListenSocket> probe = internal::Listen(listen, 1);
  if (!probe.ok()) return probe.status();
  return absl::UnavailableError(
      absl::StrCat("gRPC can't listen on ", listen.ToString(), ": see its own log lines"));
}

}  // namespace

struct GrpcHost::State {
  explicit State(std::vector<std::string> names) : health(std::move(names)) {}

  internal::HealthService health;  // Before the server, so that it dies after it.
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<internal::Heartbeat> heartbeat;
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
    const std::vector<std::string>& more_health_names) {
  EnableReflection();
  std::vector<std::string> names = more_health_names;
  names.emplace_back();
  for (const HostedService& hosted : services) names.push_back(hosted.name);
  auto state = std::make_unique<State>(std::move(names));
  grpc::ServerBuilder builder;
  ApplyLimits(limits, builder);
  int port = 0;
  builder.AddListeningPort(listen.ToString(), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&state->health);
  for (const HostedService& hosted : services) {
    builder.RegisterService(hosted.service);
    if (hosted.end_streams) state->end_streams.push_back(hosted.end_streams);
  }
  state->server = builder.BuildAndStart();
  if (state->server == nullptr || port <= 0) return WhyNot(listen);
  std::unique_ptr<GrpcHost> host(new GrpcHost(std::move(state)));
  host->address_ = {.host = listen.host, .port = static_cast<std::uint16_t>(port)};
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

std::uint64_t GrpcHost::heartbeats() const { return state_->heartbeat->count(); }

bool GrpcHost::Shutdown(std::chrono::steady_clock::time_point deadline) {
  SetServing(false);
  {
    core::MutexLock lock(state_->mutex);
    if (state_->stopped) return state_->complete;
    state_->stopped = true;
  }
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
