#include "router/stream_call.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "core/text.h"
#include "core/trace_context.h"
#include "router/errors.h"
#include "router/render.h"
#include "rpc/status.h"

namespace orchard::router {
namespace {

constexpr size_t kMaxId = 128;  // bytes

}  // namespace

StreamCall::StreamCall(const CallServices& services, grpc::CallbackServerContext& context)
    : services_(services),
      ids_(IdsOf(context)),
      deadline_(DeadlineOf(context)),
      caller_(CallerOf(context)),
      priority_(PriorityOf(context)),
      on_drain_(services.draining, OnDrain{this}) {
  AddTrailers(ids_, context);
  Next next;
  {
    core::MutexLock lock(mutex_);
    next = Decide();
  }
  Start(next);
}

void StreamCall::OnReadDone(bool ok) {
  std::unique_ptr<Picture> picture = std::move(incoming_);
  Next next;
  {
    core::MutexLock lock(mutex_);
    reading_ = false;
    if (!ok) {
      read_all_ = true;
    } else if (!draining_) {
      ++in_progress_;  // From here on the stream can't end under this picture.
      picture->ids = {.request_id = core::RequestIdOfPart(ids_.request_id, ++read_),
                      .trace = SiblingOf(ids_.trace)};
    } else {
      picture.reset();  // Too late: it gets no answer.
    }
    next = Decide();
  }
  Start(next);
  if (ok && picture) Classify(std::move(picture));
}

void StreamCall::Drain() {
  Next next;
  {
    core::MutexLock lock(mutex_);
    draining_ = true;
    next = Decide();
  }
  Start(next);
}

void StreamCall::Classify(std::unique_ptr<Picture> picture) {
  picture->begin = core::Clock::now();
  const core::Clock::time_point own =
      picture->begin + std::chrono::duration_cast<core::Clock::duration>(
                           services_.pipeline.settings().default_deadline);
  Job job{.image = picture->request.request().image(),
          .deadline = std::min(own, deadline_.value_or(own)),
          .method = Method::kClassifyStream,
          .request_id = picture->ids.request_id,
          .trace = picture->ids.trace,
          .caller = caller_,
          .priority = priority_.value_or(Priority::kInteractive),
          .arrived = picture->begin,
          .cancelled = cancelled_.get_token()};
  const absl::Status chosen = Check(picture->request, job);
  Done done = [this, picture = std::move(picture)](const absl::StatusOr<Classification>& answer) {
    Answer(*picture, answer);
  };
  if (!chosen.ok()) {
    services_.pipeline.Refuse(std::move(job), chosen, std::move(done));
    return;
  }
  services_.pipeline.Start(std::move(job), std::move(done));
}

absl::Status StreamCall::Check(const v1::ClassifyStreamRequest& request, Job& job) const {
  if (request.id().size() > kMaxId) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the id has %d bytes, the limit is %d", request.id().size(), kMaxId));
  }
  if (!priority_.ok()) return priority_.status();
  return Choose(services_, request.request(), job);
}

void StreamCall::Answer(const Picture& picture, const absl::StatusOr<Classification>& answer) {
  auto message = std::make_unique<v1::ClassifyStreamResponse>();
  message->set_id(std::string(core::CutAtCharacter(picture.request.id(), kMaxId)));
  if (answer.ok()) {
    *message->mutable_response() = Render(*answer, WantsGates(picture.request.request().options()));
  } else {
    *message->mutable_error() =
        ToCallError(ForCaller(answer.status(), picture.ids.request_id, picture.ids.trace));
  }
  Send(std::move(message));  // Last: `this` may be gone after it.
}

void StreamCall::Send(Message message) {
  Next next;
  {
    core::MutexLock lock(mutex_);
    if (broken_) {
      --in_progress_;
    } else {
      outgoing_.push_back(std::move(message));
    }
    next = Decide();
  }
  Start(next);
}

void StreamCall::OnWriteDone(bool ok) {
  Next next;
  {
    core::MutexLock lock(mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
    const size_t gone = broken_ ? outgoing_.size() : 1;
    outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<std::ptrdiff_t>(gone));
    in_progress_ -= gone;
    next = Decide();
  }
  Start(next);
}

StreamCall::Next StreamCall::Decide() {
  Next next;
  read_all_ = read_all_ || broken_;
  if (!read_all_ && !draining_ && !reading_ && in_progress_ < services_.max_stream_in_flight) {
    next.read = reading_ = true;
    incoming_ = std::make_unique<Picture>();
  }
  if (!writing_ && !outgoing_.empty()) {
    writing_ = true;
    next.write = outgoing_.front().get();
  }
  const bool has_read_all = read_all_ && !reading_;
  next.end = (has_read_all || draining_) && in_progress_ == 0 && !finished_;
  next.cut = next.end && !has_read_all;
  finished_ = finished_ || next.end;
  return next;
}

void StreamCall::Start(const Next& next) {
  // What is started keeps the stream from ending until gRPC reports it done. A read that is open
  // when the stream is cut off fails then.
  if (next.read) StartRead(&incoming_->request);
  if (next.write != nullptr) StartWrite(next.write);
  if (next.end && !next.cut) Finish(grpc::Status::OK);
  if (next.cut) {
    Finish(rpc::ToGrpc(ForCaller(DrainingError(), ids_.request_id, ids_.trace)));
  }
}

}  // namespace orchard::router
