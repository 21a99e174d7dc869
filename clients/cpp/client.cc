#include "clients/cpp/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/grpcpp.h>

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

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace

Client::Client(Options options) : options_(std::move(options)) {
  for (const std::string& server : options_.servers) {
    stubs_.push_back(v1::Classifier::NewStub(Connect(server)));
  }
}

absl::Status Client::TryServers(const Call& call) {
  const auto deadline = std::chrono::system_clock::now() + options_.timeout;
  const size_t first = preferred_.load(std::memory_order_relaxed);
  const size_t attempts = std::max<size_t>(2, stubs_.size());
  grpc::Status last;
  for (size_t attempt = 0; attempt < attempts; ++attempt) {
    const size_t server = (first + attempt) % stubs_.size();
    grpc::ClientContext context;  // One per attempt: gRPC forbids using one twice.
    context.set_deadline(deadline);
    last = call(*stubs_[server], context);
    if (!IsGone(last.error_code())) {
      preferred_.store(server, std::memory_order_relaxed);
      return FromGrpc(last);
    }
  }
  return FromGrpc(last);
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

}  // namespace orchard::client
