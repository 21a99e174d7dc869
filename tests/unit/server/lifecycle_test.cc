#include "server/lifecycle.h"

#include <signal.h>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::server {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

TEST(RunDrainTest, NotReadyThenShutdownWithTheTimeoutThenFlush) {
  std::vector<std::string> order;
  std::chrono::steady_clock::time_point deadline;
  const auto before = std::chrono::steady_clock::now();
  const int code = RunDrain(SIGTERM, {.delay = milliseconds(0),
                                      .timeout = milliseconds(70'000),
                                      .set_not_ready = [&] { order.push_back("not ready"); },
                                      .shutdown =
                                          [&](std::chrono::steady_clock::time_point until) {
                                            deadline = until;
                                            order.push_back("shutdown");
                                            return true;
                                          },
                                      .flush = [&] { order.push_back("flush"); },
                                      .in_flight = [] { return std::int64_t{3}; }});
  EXPECT_EQ(code, 0);
  EXPECT_THAT(order, ElementsAre("not ready", "shutdown", "flush"));
  EXPECT_GE(deadline, before + milliseconds(70'000));
}

TEST(RunDrainTest, CallsThatWereCutOffStillEndInExitCodeZero) {
  bool flushed = false;
  const int code = RunDrain(SIGINT, {.delay = milliseconds(0),
                                     .timeout = milliseconds(0),
                                     .shutdown = [](auto) { return false; },
                                     .flush = [&] { flushed = true; }});
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(flushed);
}

TEST(RunDrainTest, NothingNeedsToBeGiven) {
  EXPECT_EQ(RunDrain(SIGTERM, {.delay = milliseconds(0)}), 0);
}

TEST(SignalsTest, TheFirstSignalIsRememberedForEveryWait) {
  Signals signals;
  EXPECT_FALSE(signals.Received());
  EXPECT_EQ(signals.WaitFor(milliseconds(0)), std::nullopt);
  raise(SIGTERM);
  EXPECT_TRUE(signals.Received());
  EXPECT_EQ(signals.Wait(), SIGTERM);
  EXPECT_EQ(signals.Wait(), SIGTERM);
  EXPECT_EQ(signals.WaitFor(milliseconds(0)), SIGTERM);
}

TEST(SignalsTest, AnotherObjectAfterTheFirstBeginsAnew) {
  {
    const Signals signals;
  }
  Signals signals;
  EXPECT_FALSE(signals.Received());
  raise(SIGINT);
  EXPECT_EQ(signals.Wait(), SIGINT);
}

TEST(SignalsTest, AHangupEndsNothingAndRunsOnTheThreadThatWaits) {
  Signals signals;
  raise(SIGHUP);  // Before anybody asked: made up for.
  EXPECT_FALSE(signals.Received());
  int hangups = 0;
  signals.OnHangup([&hangups] { ++hangups; });
  EXPECT_EQ(signals.WaitFor(milliseconds(1)), std::nullopt);
  EXPECT_EQ(hangups, 1);
  raise(SIGHUP);
  EXPECT_EQ(signals.WaitFor(milliseconds(1)), std::nullopt);
  EXPECT_EQ(hangups, 2);
  raise(SIGTERM);
  raise(SIGHUP);
  EXPECT_EQ(signals.Wait(), SIGTERM);
  EXPECT_EQ(hangups, 2);  // It ends.
}

TEST(SignalsTest, WhatTheParentIgnoredIsCaught) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  {
    Signals signals;
    raise(SIGHUP);
    raise(SIGTERM);
    EXPECT_EQ(signals.Wait(), SIGTERM);
  }
  signal(SIGTERM, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
}

TEST(SignalsTest, ABrokenPipeDoesNotEndTheProcess) {
  const Signals signals;
  raise(SIGPIPE);
  EXPECT_FALSE(signals.Received());
}

}  // namespace
}  // namespace orchard::server
