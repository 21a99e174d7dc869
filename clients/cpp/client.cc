#include "clients/cpp/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/grpcpp.h>

#include "rpc/status.h"

namespace orchard::client {
namespace {

std::shared_ptr<grpc::Channel> Connect(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // Our own loop decides about attempts: gRPC's would buffer each picture and know one server only.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

bool IsGone(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::CANCELLED;
}

/// Connects, unless it is done. False when that fails or is not done at `deadline`. A call would
/// wait for a connection until its own deadline, which leaves nothing for the next server.
bool IsConnectedBy(grpc::Channel& channel, std::chrono::system_clock::time_point deadline) {
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel.WaitForStateChange(state, deadline)) return false;
  }
}

/// Marks the status of NobodyConnected: a server's own UNAVAILABLE never has it.
constexpr char kNoServerAnswers[] = "orchard.client/no-server-answers";

absl::Status NobodyConnected(const std::vector<std::string>& servers) {
  absl::Status status =
      absl::UnavailableError(absl::StrCat("no server answers at ", absl::StrJoin(servers, ", ")));
  status.SetPayload(kNoServerAnswers, absl::Cord());
  return status;
}

}  // namespace

Client::Client(Options options) : options_(std::move(options)) {
  for (const std::string& address : options_.servers) {
    auto channel = Connect(address);
    auto stub = v1::Classifier::NewStub(channel);
    servers_.push_back({.channel = std::move(channel), .stub = std::move(stub)});
  }
}

absl::Status Client::TryServers(const Call& call) {
  const auto deadline = std::chrono::system_clock::now() + options_.timeout;
  const size_t first = preferred_.load(std::memory_order_relaxed);
  const size_t attempts = std::max<size_t>(2, servers_.size());
  const auto share = options_.timeout / static_cast<int64_t>(attempts + 1);
  absl::Status last = NobodyConnected(options_.servers);
  for (size_t attempt = 0; attempt < attempts; ++attempt) {
    const size_t index = (first + attempt) % servers_.size();
    const Server& server = servers_[index];
    const bool is_last = attempt + 1 == attempts;
    const auto patience =
        is_last ? deadline : std::min(deadline, std::chrono::system_clock::now() + share);
    if (!IsConnectedBy(*server.channel, patience)) continue;
    grpc::ClientContext context;  // One per attempt: gRPC forbids using one twice.
    context.set_deadline(deadline);
    const grpc::Status status = call(*server.stub, context);
    last = rpc::FromGrpc(status);
    if (!IsGone(status.error_code())) {
      preferred_.store(index, std::memory_order_relaxed);
      break;
    }
  }
  return last;
}

absl::StatusOr<v1::ClassifyResponse> Client::Classify(const v1::ClassifyRequest& request) {
  v1::ClassifyResponse response;
  const absl::Status status =
      TryServers([&](v1::Classifier::Stub& stub, grpc::ClientContext& context) {
        return stub.Classify(&context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::ModelDescription> Client::DescribeModel() {
  v1::ModelDescription response;
  const absl::Status status =
      TryServers([&](v1::Classifier::Stub& stub, grpc::ClientContext& context) {
        return stub.DescribeModel(&context, v1::DescribeModelRequest(), &response);
      });
  if (!status.ok()) return status;
  return response;
}

bool NoServerAnswers(const absl::Status& status) {
  return status.GetPayload(kNoServerAnswers).has_value();
}

}  // namespace orchard::client
