#pragma once

#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/support/server_callback.h>

#include "core/clock.h"
#include "orchard/v1/classifier.pb.h"
#include "router/call_context.h"

namespace orchard::router {

/// One Classify call: converts, hands over, finishes. gRPC owns its life: created in the handler,
/// deleted in OnDone. Request, response and context live as long; the picture is never copied.
class ClassifyCall final : public grpc::ServerUnaryReactor {
 public:
  ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context,
               const v1::ClassifyRequest& request, v1::ClassifyResponse& response);

  void OnCancel() override { cancelled_.request_stop(); }  // Answers, when an expert is waited for.
  void OnDone() override { delete this; }

 private:
  void Answer(const absl::StatusOr<Classification>& answer);

  grpc::CallbackServerContext& context_;
  const v1::ClassifyRequest& request_;
  v1::ClassifyResponse& response_;
  const core::Clock::time_point begin_ = core::Clock::now();
  const CallIds ids_;
  std::stop_source cancelled_;
};

}  // namespace orchard::router
