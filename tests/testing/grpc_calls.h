#pragma once

#include <memory>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

/// \file
/// Health and reflection as a client sees them.

namespace orchard::testing {

/// Health.Check: "SERVING", "NOT_SERVING", or an error's code ("code 5").
inline std::string CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                               const std::string& service) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
  if (!status.ok()) return "code " + std::to_string(status.error_code());
  return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
}

/// Health.Watch: each Next() is the next state, "" at the end.
class HealthWatch {
 public:
  HealthWatch(const std::shared_ptr<grpc::Channel>& channel, const std::string& service)
      : stub_(grpc::health::v1::Health::NewStub(channel)) {
    context_.set_wait_for_ready(true);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    reader_ = stub_->Watch(&context_, request);
  }
  ~HealthWatch() {
    context_.TryCancel();
    while (!Next().empty()) {
    }
    reader_->Finish().IgnoreError();
  }
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  std::string Next() {
    grpc::health::v1::HealthCheckResponse response;
    if (!reader_->Read(&response)) return "";
    return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
  }

  /// Reads until `state`; false when the call ends before.
  bool ReadUntil(const std::string& state) {
    while (true) {
      const std::string next = Next();
      if (next == state || next.empty()) return next == state;
    }
  }

 private:
  std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<grpc::health::v1::HealthCheckResponse>> reader_;
};

/// The answer to "list services" of server reflection (v1alpha), as bytes with the names in them:
/// gRPC does not ship the generated code.
inline std::string ListServices(grpc::Channel& channel) {
  const grpc::internal::RpcMethod method(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::internal::RpcMethod::BIDI_STREAMING);
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          &channel, method, &context));
  const grpc::Slice list_services("\x3a\x01*");  // Field 7, one byte: "*".
  stream->Write(grpc::ByteBuffer(&list_services, 1));
  stream->WritesDone();
  std::string all;
  for (grpc::ByteBuffer response; stream->Read(&response);) {
    grpc::Slice slice;
    response.DumpToSingleSlice(&slice);
    all.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  stream->Finish().IgnoreError();
  return all;
}

}  // namespace orchard::testing
