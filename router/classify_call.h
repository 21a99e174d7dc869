#pragma once

#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <grpcpp/support/server_callback.h>

#include "orchard/v1/classifier.pb.h"
#include "router/call_context.h"

namespace orchard::router {

/// One Classify call: converts, hands over, finishes. gRPC owns its life: created in the handler,
/// deleted in OnDone. Request, response and context live as long; the picture is never copied.
///
/// It comes before its picture has: who would be refused whatever it shows is told so, and the
/// picture is not received (docs/decisions/0015-admission.md).
class ClassifyCall final
    : public grpc::ServerBidiReactor<v1::ClassifyRequest, v1::ClassifyResponse> {
 public:
  ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override;
  void OnCancel() override { cancelled_.request_stop(); }  // Answers, when an expert is waited for.
  void OnDone() override;

 private:
  void Refuse(const absl::Status& why);
  void TellOfBroken();
  void Answer(const absl::StatusOr<Classification>& answer);

  const CallServices& services_;
  grpc::CallbackServerContext& context_;
  const CallIds ids_;
  std::stop_source cancelled_;
  v1::ClassifyRequest request_;
  v1::ClassifyResponse response_;
  Job job_;              // Until it is handed over.
  bool broken_ = false;  // No whole request has come.
};

}  // namespace orchard::router
