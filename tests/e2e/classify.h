#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/client_context.h>

#include "orchard/v1/classifier.grpc.pb.h"
#include "rpc/status.h"
#include "tests/testing/classify_options.h"

namespace orchard::testing {

/// One call without the retries of our own clients: a request that is lost shall be seen. `context`
/// has what the call sends besides, and afterwards the answer's trailers.
inline absl::StatusOr<v1::ClassifyResponse> Classify(
    v1::Classifier::Stub& stub, grpc::ClientContext& context, const std::string& picture,
    const v1::ClassifyOptions& options, std::chrono::seconds deadline = std::chrono::seconds(60)) {
  v1::ClassifyRequest request;
  request.set_image(picture);
  *request.mutable_options() = options;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  v1::ClassifyResponse response;
  const grpc::Status status = stub.Classify(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

inline absl::StatusOr<v1::ClassifyResponse> Classify(
    v1::Classifier::Stub& stub, const std::string& picture, const v1::ClassifyOptions& options,
    std::chrono::seconds deadline = std::chrono::seconds(60)) {
  grpc::ClientContext context;
  return Classify(stub, context, picture, options, deadline);
}

}  // namespace orchard::testing
