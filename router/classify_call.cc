#include "router/classify_call.h"

#include <utility>

#include "router/caller.h"
#include "router/errors.h"
#include "router/render.h"
#include "rpc/status.h"

namespace orchard::router {

ClassifyCall::ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context,
                           const v1::ClassifyRequest& request, v1::ClassifyResponse& response)
    : context_(context), request_(request), response_(response), ids_(IdsOf(context)) {
  AddTrailers(ids_, context);
  Job job{.image = request.image(),
          .deadline = DeadlineOf(context),
          .method = Method::kClassify,
          .request_id = ids_.request_id,
          .trace = ids_.trace,
          .caller = CallerOf(context),
          .arrived = begin_,
          .cancelled = cancelled_.get_token()};
  // `this` is safe in the callback: OnDone comes only after Finish, which it calls exactly once.
  Done done = [this](const absl::StatusOr<Classification>& answer) { Answer(answer); };
  const absl::Status chosen = Choose(services, request, job);
  const absl::StatusOr<Priority> priority = PriorityOf(context);
  if (!chosen.ok() || !priority.ok()) {
    services.pipeline.Refuse(std::move(job), chosen.ok() ? priority.status() : chosen,
                             std::move(done));
    return;
  }
  job.priority = *priority;
  services.pipeline.Start(std::move(job), std::move(done));
}

void ClassifyCall::Answer(const absl::StatusOr<Classification>& answer) {
  if (answer.ok()) response_ = Render(*answer, WantsGates(request_.options()));
  const absl::Status status = ForCaller(answer.status(), ids_.request_id, ids_.trace);
  Finish(rpc::ToGrpc(status, context_, kPushback));  // Last: `this` may be gone after it.
}

}  // namespace orchard::router
