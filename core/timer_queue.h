#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::core {

/// Runs functions at times, all on one thread of its own, in the order of their times; what is due
/// at the same time runs in the order of its setting.
///
/// Thread-safe; a function may set and cancel timers. Functions run without any lock and must be
/// quick: the next one waits for them. What is not yet due at the end never runs.
class TimerQueue {
 public:
  using Function = absl::AnyInvocable<void() &&>;
  /// Names a timer, for Cancel(). The default names none.
  using Timer = std::pair<Clock::time_point, std::uint64_t>;

  TimerQueue() : thread_([this] { Run(); }) {}

  ~TimerQueue() {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// `function` will run at `when`, or at once when that has passed.
  Timer At(Clock::time_point when, Function function) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    const Timer timer(when, ++last_);
    const auto place = waiting_.emplace(timer, std::move(function)).first;
    if (place == waiting_.begin()) changed_.notify_all();  // Others are due before it: no hurry.
    return timer;
  }

  /// Whether the timer was still to come: then it will not run. Otherwise it has run, or is running
  /// now, or was cancelled before.
  bool Cancel(const Timer& timer) ABSL_LOCKS_EXCLUDED(mutex_) {
    Function dropped;  // Dies after the lock: what it owns may come back to us.
    MutexLock lock(mutex_);
    const auto place = waiting_.find(timer);
    if (place == waiting_.end()) return false;
    dropped = std::move(place->second);
    waiting_.erase(place);
    return true;
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    while (Function due = Next()) std::move(due)();
  }

  /// Waits for the next function; empty when stopping.
  Function Next() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (!stopping_) {
      if (waiting_.empty()) {
        lock.Wait(changed_);
      } else if (const auto first = waiting_.begin(); first->first.first > Clock::now()) {
        // A copy: the timer may be cancelled, and its place freed, while we wait.
        const Clock::time_point when = first->first.first;
        lock.WaitUntil(changed_, when);
      } else {
        Function due = std::move(first->second);
        waiting_.erase(first);
        return due;
      }
    }
    return nullptr;
  }

  Mutex mutex_;
  std::condition_variable changed_;
  std::map<Timer, Function> waiting_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // Last, so that it is joined before what it uses dies.
};

}  // namespace orchard::core
