#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

/// \file
/// Our locks: std::mutex with the annotations that clang-tidy proves. absl::Mutex from Debian's
/// library is invisible to GCC's ThreadSanitizer: docs/decisions/0003-our-locks-are-std-mutex.md.

namespace orchard::core {

/// A mutual exclusion lock. Thread-safe.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope. Waits are loops on the state:
///   while (waiting_.empty() && !stopping_) lock.Wait(changed_);
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() ABSL_UNLOCK_FUNCTION() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Wait(std::condition_variable& changed) { changed.wait(lock_); }

  /// Returns false when `deadline` passed first.
  template <typename TimePoint>
  bool WaitUntil(std::condition_variable& changed, TimePoint deadline) {
    return changed.wait_until(lock_, deadline) == std::cv_status::no_timeout;
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace orchard::core
