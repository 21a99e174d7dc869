#pragma once

#include <cstddef>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include <grpcpp/support/server_callback.h>

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::rpc {

/// A call that is over before it began.
template <typename Response>
class RefusedStream final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedStream(const grpc::Status& why) { this->Finish(why); }
  void OnDone() override { delete this; }
};

/// Open server streams that tell a state: of each only the newest matters, so a reader that is slow
/// holds one message and misses those between. A stream is about a `key` of the service's own, and
/// the service decides what it is told (Tell). Thread-safe; outlives the server of its streams.
template <typename Response>
class StateStreams {
 public:
  using Reactor = grpc::ServerWriteReactor<Response>;
  /// What a stream about `key` is to be told now; `told`: what it was told last, or is about to be.
  using Next =
      absl::FunctionRef<std::optional<Response>(size_t key, const std::optional<Response>& told)>;

  /// `limit`: streams at a time.
  explicit StateStreams(size_t limit) : limit_(limit) {}

  /// A new stream, to be returned to gRPC; Tell() says more. `first`, asked under the lock, is what
  /// it is told before all else. Null: there is no room for it.
  Reactor* Open(size_t key, core::Clock::time_point now, Next first = Silence)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    Stream* stream = nullptr;
    Step step = Step::kNothing;
    {
      core::MutexLock lock(mutex_);
      if (streams_.size() >= limit_) return nullptr;
      stream = new Stream(*this, key, now);
      streams_.insert(stream);
      stream->Offer(first(key, std::nullopt));
      if (ended_) stream->End(*ended_);
      step = stream->Decide();
    }
    stream->Perform(step);
    return stream;
  }

  /// Asks `next`, under the lock, about every stream.
  void Tell(Next next) ABSL_LOCKS_EXCLUDED(mutex_) {
    ForEach([&](Stream& stream) { stream.Offer(next(stream.key(), stream.told())); });
  }

  /// Ends, with OK, those that were opened before `time`, once they have been told what they are to
  /// be told.
  void EndOlder(core::Clock::time_point time) ABSL_LOCKS_EXCLUDED(mutex_) {
    ForEach([&](Stream& stream) {
      if (stream.opened() < time) stream.End(grpc::Status::OK);
    });
  }

  /// Ends all, those to come as well. Idempotent.
  void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      core::MutexLock lock(mutex_);
      ended_ = status;
    }
    ForEach([&](Stream& stream) { stream.End(status); });
  }

  size_t size() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return streams_.size();
  }
  size_t limit() const { return limit_; }

 private:
  static std::optional<Response> Silence(size_t /*key*/, const std::optional<Response>& /*told*/) {
    return std::nullopt;
  }

  enum class Step { kNothing, kWrite, kFinish };

  /// gRPC owns its life: deleted in OnDone. Its state is guarded by the mutex of all; what is to be
  /// done is decided under it and carried out after it.
  class Stream final : public Reactor {
   public:
    Stream(StateStreams& all, size_t key, core::Clock::time_point opened)
        : all_(all), key_(key), opened_(opened) {}

    size_t key() const { return key_; }
    core::Clock::time_point opened() const { return opened_; }
    const std::optional<Response>& told() const { return told_; }

    void Offer(std::optional<Response> response) {
      if (!response || ending_) return;
      told_ = std::move(response);
      pending_ = true;
    }
    void End(const grpc::Status& status) {
      if (!std::exchange(ending_, true)) status_ = status;
    }

    /// What to do now. After kWrite or kFinish nobody else gets one until it is done, so that this
    /// object can't die between the decision and Perform().
    Step Decide() {
      if (writing_ || finished_) return Step::kNothing;
      if (std::exchange(pending_, false)) {
        writing_ = true;
        response_ = *told_;
        return Step::kWrite;
      }
      finished_ = ending_;
      return ending_ ? Step::kFinish : Step::kNothing;
    }

    void Perform(Step step) {
      if (step == Step::kWrite) this->StartWrite(&response_);
      if (step == Step::kFinish) this->Finish(status_);
    }

    void OnWriteDone(bool ok) override {
      Go([&] {
        writing_ = false;
        if (!ok) GiveUp();
      });
    }
    void OnCancel() override {
      Go([&] { GiveUp(); });
    }
    void OnDone() override {
      {
        core::MutexLock lock(all_.mutex_);
        all_.streams_.erase(this);
      }
      delete this;
    }

   private:
    /// Nobody listens any more.
    void GiveUp() {
      pending_ = false;
      End(grpc::Status::CANCELLED);
    }

    template <typename Change>
    void Go(Change change) {
      Step step = Step::kNothing;
      {
        core::MutexLock lock(all_.mutex_);
        change();
        step = Decide();
      }
      Perform(step);
    }

    StateStreams& all_;
    const size_t key_;
    const core::Clock::time_point opened_;
    std::optional<Response> told_;
    Response response_;  // the one that is being written
    grpc::Status status_;
    bool pending_ = false;  // told_ is still to be written
    bool writing_ = false;
    bool ending_ = false;
    bool finished_ = false;
  };

  template <typename Change>
  void ForEach(Change change) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::pair<Stream*, Step>> steps;
    {
      core::MutexLock lock(mutex_);
      for (Stream* const stream : streams_) {
        change(*stream);
        if (const Step step = stream->Decide(); step != Step::kNothing) {
          steps.emplace_back(stream, step);
        }
      }
    }
    for (const auto& [stream, step] : steps) stream->Perform(step);
  }

  const size_t limit_;
  core::Mutex mutex_;
  std::unordered_set<Stream*> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::rpc
