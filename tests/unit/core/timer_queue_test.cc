#include "core/timer_queue.h"

#include <atomic>
#include <future>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::ElementsAre;
using namespace std::chrono_literals;

TEST(TimerQueueTest, RunsAFunctionNotBeforeItsTime) {
  TimerQueue timers;
  std::promise<Clock::time_point> ran;
  const Clock::time_point when = Clock::now() + 20ms;
  timers.At(when, [&] { ran.set_value(Clock::now()); });
  EXPECT_GE(ran.get_future().get(), when);
}

TEST(TimerQueueTest, RunsInTheOrderOfTimes) {
  TimerQueue timers;
  std::promise<void> held, release, end;
  std::vector<int> order;  // Touched by the one thread, read after `end`.
  timers.At(Clock::now(), [&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();  // The thread is busy: what follows is sorted, not raced.
  const Clock::time_point past = Clock::now();
  timers.At(past + 3us, [&] { end.set_value(); });
  timers.At(past + 2us, [&] { order.push_back(2); });
  timers.At(past + 1us, [&] { order.push_back(1); });
  timers.At(past + 2us, [&] { order.push_back(3); });
  release.set_value();
  end.get_future().wait();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(TimerQueueTest, AnEarlierTimerOvertakesOneThatIsWaitedFor) {
  TimerQueue timers;
  timers.At(Clock::now() + 1h, [] { FAIL() << "too early"; });
  std::promise<void> ran;
  timers.At(Clock::now() + 1ms, [&] { ran.set_value(); });
  ran.get_future().wait();
}

TEST(TimerQueueTest, ACancelledTimerDoesNotRunAndFreesWhatItOwns) {
  TimerQueue timers;
  auto owned = std::make_shared<int>(1);
  const TimerQueue::Timer timer =
      timers.At(Clock::now() + 1h, [owned] { FAIL() << "cancelled" << *owned; });
  EXPECT_EQ(owned.use_count(), 2);
  EXPECT_TRUE(timers.Cancel(timer));
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_FALSE(timers.Cancel(timer));
  EXPECT_FALSE(timers.Cancel({}));
}

TEST(TimerQueueTest, AFunctionMaySetAndCancelTimers) {
  TimerQueue timers;
  std::promise<bool> cancelled;
  const TimerQueue::Timer far = timers.At(Clock::now() + 1h, [] {});
  timers.At(Clock::now(),
            [&] { timers.At(Clock::now(), [&] { cancelled.set_value(timers.Cancel(far)); }); });
  EXPECT_TRUE(cancelled.get_future().get());
}

TEST(TimerQueueTest, WhatIsNotDueAtTheEndNeverRuns) {
  std::atomic<int> ran = 0;
  {
    TimerQueue timers;
    timers.At(Clock::now() + 1h, [&] { ++ran; });
  }
  EXPECT_EQ(ran, 0);
}

}  // namespace
}  // namespace orchard::core
