#include "router/classify_call.h"

#include <utility>

#include "rpc/status.h"

namespace orchard::router {

ClassifyCall::ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context,
                           const v1::ClassifyRequest& request, v1::ClassifyResponse& response)
    : services_(services),
      context_(context),
      request_(request),
      response_(response),
      request_id_(RequestIdOf(context)) {
  Job job{.image = request.image(),
          .options = request.options(),
          .deadline = DeadlineOf(context),
          .request_id = request_id_,
          .cancelled = cancelled_.get_token()};
  // `this` is safe in the callback: OnDone comes only after Finish, which it calls exactly once.
  services_.pipeline.Start(std::move(job), [this](absl::StatusOr<v1::ClassifyResponse> answer) {
    Answer(std::move(answer));
  });
}

void ClassifyCall::Answer(absl::StatusOr<v1::ClassifyResponse> answer) {
  const absl::Status status = answer.status();
  if (answer.ok()) response_ = *std::move(answer);
  const core::Clock::duration took = core::Clock::now() - begin_;
  const RequestLine line("classify", request_id_, request_.image().size(), took, status, response_);
  if (!WantsGates(request_.options())) response_.mutable_routing()->clear_domains();
  services_.metrics.Request(Metrics::kClassify, status.code(), took);
  context_.AddTrailingMetadata(kRequestIdKey, request_id_);
  Finish(rpc::ToGrpc(status, context_, kPushback));
  line.Write();  // `this` may be gone.
}

}  // namespace orchard::router
