#include "core/mutex.h"

#include <condition_variable>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/clock.h"

namespace orchard::core {
namespace {

TEST(MutexTest, KeepsThreadsApart) {
  Mutex mutex;
  int count = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          MutexLock lock(mutex);
          ++count;
        }
      });
    }
  }
  EXPECT_EQ(count, 40'000);
}

TEST(MutexTest, WaitGivesTheLockBackWhileItWaits) {
  Mutex mutex;
  std::condition_variable changed;
  bool ready = false;
  std::jthread thread([&] {
    MutexLock lock(mutex);
    ready = true;
    changed.notify_all();
  });
  MutexLock lock(mutex);
  while (!ready) lock.Wait(changed);
  EXPECT_TRUE(ready);
}

TEST(MutexTest, WaitUntilSaysWhenTheDeadlinePassed) {
  Mutex mutex;
  std::condition_variable changed;
  MutexLock lock(mutex);
  while (lock.WaitUntil(changed, Clock::now())) {  // Spurious wake-ups are allowed.
  }
  SUCCEED();
}

}  // namespace
}  // namespace orchard::core
