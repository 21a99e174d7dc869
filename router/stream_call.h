#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include <grpcpp/support/server_callback.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "orchard/v1/classifier.pb.h"
#include "router/call_context.h"
#include "router/caller.h"

namespace orchard::router {

/// One ClassifyStream call: many pictures, one answer each, in any order.
///
/// Flow control: a picture is in progress from its reading until its answer is written; with
/// `max_stream_in_flight` of them no further one is read, so that neither a quick sender nor a slow
/// reader can fill our memory. A picture that fails has an error in its answer and the stream goes
/// on. When the caller goes, what is in progress is dropped. When the server drains, no further
/// picture is read, what is in progress is answered, and the stream ends with UNAVAILABLE: the
/// caller sends again what has no answer.
///
/// gRPC owns its life: created in the handler, deleted in OnDone. Finish comes last of all: after
/// the last picture, read and write. Thread-safe, as reactions and answers come on many threads.
class StreamCall final
    : public grpc::ServerBidiReactor<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse> {
 public:
  StreamCall(const CallServices& services, grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { cancelled_.request_stop(); }  // Answers what waits for experts.
  void OnDone() override { delete this; }

 private:
  struct Picture {
    v1::ClassifyStreamRequest request;
    CallIds ids = {};
    core::Clock::time_point begin = {};
  };
  using Message = std::unique_ptr<v1::ClassifyStreamResponse>;

  /// What the server's drain runs.
  struct OnDrain {
    StreamCall* call;
    void operator()() const { call->Drain(); }
  };

  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);
  void Classify(std::unique_ptr<Picture> picture);
  absl::Status Check(const v1::ClassifyStreamRequest& request, Job& job) const;
  void Answer(const Picture& picture, const absl::StatusOr<Classification>& answer);
  void Send(Message message) ABSL_LOCKS_EXCLUDED(mutex_);

  /// What to start now.
  struct Next {
    bool read = false;
    const v1::ClassifyStreamResponse* write = nullptr;
    bool end = false;
    bool cut = false;  // The end comes before the caller's.
  };
  /// What the state allows; from here on it counts as started.
  Next Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Starts it, outside the lock, as gRPC may react at once. In the same breath as the change of
  /// state that led to it: without anything to start, `this` may be gone already.
  void Start(const Next& next);

  const CallServices services_;
  const CallIds ids_;
  const std::optional<core::Clock::time_point> deadline_;
  const std::string caller_;
  const absl::StatusOr<Priority> priority_;
  std::stop_source cancelled_;
  std::unique_ptr<Picture> incoming_;  // Of the one read in progress.

  core::Mutex mutex_;
  std::deque<Message> outgoing_ ABSL_GUARDED_BY(mutex_);  // The first is being written.
  size_t in_progress_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t read_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // The caller is done, or gone.
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;    // No write can succeed any more.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: it may run at once, and its end waits for a Drain() on another thread.
  const std::stop_callback<OnDrain> on_drain_;
};

}  // namespace orchard::router
