#include "router/classify_call.h"

#include <utility>

#include "router/render.h"
#include "rpc/status.h"

namespace orchard::router {

ClassifyCall::ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context,
                           const v1::ClassifyRequest& request, v1::ClassifyResponse& response)
    : services_(services),
      context_(context),
      request_(request),
      response_(response),
      request_id_(RequestIdOf(context)) {
  const absl::StatusOr<Options> options = services.pipeline.Parse(request.options());
  if (!options.ok()) {
    Answer(options.status());
    return;
  }
  Job job{.image = request.image(),
          .options = *options,
          .deadline = DeadlineOf(context),
          .request_id = request_id_,
          .arrived = begin_,
          .cancelled = cancelled_.get_token()};
  // `this` is safe in the callback: OnDone comes only after Finish, which it calls exactly once.
  services_.pipeline.Start(
      std::move(job), [this](const absl::StatusOr<Classification>& answer) { Answer(answer); });
}

void ClassifyCall::Answer(const absl::StatusOr<Classification>& answer) {
  if (answer.ok()) response_ = Render(*answer, WantsGates(request_.options()));
  const core::Clock::duration took = core::Clock::now() - begin_;
  const RequestLine line("classify", request_id_, request_.image().size(), took, answer);
  services_.metrics.Request(Metrics::kClassify, answer.status().code(), took);
  context_.AddTrailingMetadata(kRequestIdKey, request_id_);
  Finish(rpc::ToGrpc(answer.status(), context_, kPushback));
  line.Write();  // `this` may be gone.
}

}  // namespace orchard::router
