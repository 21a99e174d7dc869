#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include <grpcpp/client_context.h>

#include "core/mutex.h"

namespace orchard::experts::internal {

/// The calls that someone has in progress, so that it can end them before it dies: gRPC's callbacks
/// come on threads that nobody else could wait for. Thread-safe.
///
/// Enter before a call starts, Leave as the very last thing of its callback, with the callback's
/// last reference to the context: a context keeps its channel alive, and gRPC 1.51 crashes when a
/// callback's thread is the one that lets the last channel go (it would have to join itself).
class CallGroup {
 public:
  ~CallGroup() { CancelAndWait(); }

  /// False once CancelAndWait() has begun: then don't start the call, and don't Leave.
  bool Enter(std::shared_ptr<grpc::ClientContext> call) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    if (closed_) return false;
    calls_.insert(std::move(call));
    ++unfinished_;
    return true;
  }

  /// Drops `call`, and then `keep`, what must outlive it. The group may be gone when this returns.
  void Leave(std::shared_ptr<grpc::ClientContext>&& call, std::shared_ptr<void> keep = nullptr)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      core::MutexLock lock(mutex_);
      calls_.erase(call);
    }
    call.reset();  // Without the lock: gRPC's destructors are not ours to know.
    keep.reset();
    core::MutexLock lock(mutex_);
    --unfinished_;
    if (closed_ && unfinished_ == 0) empty_.notify_all();  // Under the lock: we may die after it.
  }

  /// Refuses what comes, cancels what is in progress, waits until all have left. Not from a
  /// callback of a member.
  void CancelAndWait() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::flat_hash_set<std::shared_ptr<grpc::ClientContext>> calls;
    {
      core::MutexLock lock(mutex_);
      closed_ = true;
      calls = calls_;
    }
    for (const auto& call : calls) call->TryCancel();  // Without the lock: it may call back.
    calls.clear();
    core::MutexLock lock(mutex_);
    while (unfinished_ > 0) lock.Wait(empty_);
  }

  bool closed() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return closed_;
  }

  /// Calls in progress.
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return unfinished_;
  }

 private:
  mutable core::Mutex mutex_;
  std::condition_variable empty_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;  // entered, and their contexts not yet dropped
  // Shared with the callback of the call: whichever is last, it must outlive TryCancel.
  absl::flat_hash_set<std::shared_ptr<grpc::ClientContext>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::experts::internal
