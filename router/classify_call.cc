#include "router/classify_call.h"

#include <utility>

#include "core/clock.h"
#include "router/caller.h"
#include "router/errors.h"
#include "router/render.h"
#include "rpc/status.h"

namespace orchard::router {
namespace {

/// All of it that is known before the request has come.
Job JobOf(const grpc::CallbackServerContext& context, const CallIds& ids,
          std::stop_token cancelled) {
  return {.deadline = DeadlineOf(context),
          .method = Method::kClassify,
          .request_id = ids.request_id,
          .trace = ids.trace,
          .caller = CallerOf(context),
          .arrived = core::Clock::now(),
          .cancelled = std::move(cancelled)};
}

absl::Status BrokenError() {
  return absl::InvalidArgumentError(
      "the call ended without one whole orchard.v1.ClassifyRequest within the size limit");
}

}  // namespace

ClassifyCall::ClassifyCall(const CallServices& services, grpc::CallbackServerContext& context)
    : services_(services),
      context_(context),
      ids_(IdsOf(context)),
      job_(JobOf(context, ids_, cancelled_.get_token())) {
  AddTrailers(ids_, context);
  const absl::StatusOr<Priority> priority = PriorityOf(context);
  if (!priority.ok()) {
    Refuse(priority.status());
    return;
  }
  job_.priority = *priority;
  if (const absl::Status foreseen = services.pipeline.Foresee(job_); !foreseen.ok()) {
    Refuse(foreseen);
    return;
  }
  StartRead(&request_);
}

void ClassifyCall::OnReadDone(bool ok) {
  job_.arrived = core::Clock::now();
  if (!ok) {  // Nobody hears it where the caller has gone.
    broken_ = true;
    Finish(rpc::ToGrpc(ForCaller(BrokenError(), ids_.request_id, ids_.trace)));
    return;
  }
  job_.image = request_.image();
  const absl::Status chosen = Choose(services_, request_, job_);
  if (!chosen.ok()) {
    Refuse(chosen);
    return;
  }
  // `this` is safe in the callback: OnDone comes only after Finish, which it calls exactly once.
  services_.pipeline.Start(std::move(job_), [this](const auto& answer) { Answer(answer); });
}

void ClassifyCall::OnDone() {
  if (broken_) TellOfBroken();
  delete this;
}

/// Only now is it known which it was: a caller that sent none, or one that has gone. A message
/// above the size limit looks like the latter: gRPC has refused it, and cancelled the call.
void ClassifyCall::TellOfBroken() {
  const absl::Status why =
      cancelled_.stop_requested()
          ? absl::CancelledError("the call was cancelled before its request had come")
          : BrokenError();
  services_.pipeline.Refuse(std::move(job_), why, [](const auto&) {});  // It has been answered.
}

void ClassifyCall::Refuse(const absl::Status& why) {
  services_.pipeline.Refuse(std::move(job_), why, [this](const auto& answer) { Answer(answer); });
}

void ClassifyCall::Answer(const absl::StatusOr<Classification>& answer) {
  // Last: `this` may be gone after the end.
  if (!answer.ok()) {
    Finish(
        rpc::ToGrpc(ForCaller(answer.status(), ids_.request_id, ids_.trace), context_, kPushback));
    return;
  }
  response_ = Render(*answer, WantsGates(request_.options()));
  StartWriteAndFinish(&response_, {}, grpc::Status::OK);
}

}  // namespace orchard::router
