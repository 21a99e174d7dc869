#include "experts/endpoint_load.h"

#include <cmath>

#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using core::Clock;
using namespace std::chrono_literals;

const Clock::time_point kStart{std::chrono::hours(1)};

/// A load that has answered `answers` calls of `took` each, one after the other, until kStart.
EndpointLoad Answering(int answers, Clock::duration took) {
  EndpointLoad load;
  for (int i = answers; i > 0; --i) {
    const auto call = load.Started(1, kStart - i * took);
    load.Answered(call, 0, kStart - (i - 1) * took);
  }
  return load;
}

TEST(EndpointLoadTest, BeginsWithNothing) {
  const EndpointLoad load;
  EXPECT_EQ(load.Latency(kStart), 0.0);
  EXPECT_EQ(load.rows(), 0U);
  EXPECT_EQ(load.OldestAge(kStart), 0s);
  EXPECT_GT(load.Cost(kStart), 0.0);
}

/// `answers` more of `took` each; returns when the last came.
Clock::time_point Answer(EndpointLoad& load, Clock::time_point now, int answers,
                         Clock::duration took) {
  for (int i = 0; i < answers; ++i) {
    const auto call = load.Started(1, now);
    now += took;
    load.Answered(call, 0, now);
  }
  return now;
}

TEST(EndpointLoadTest, JumpsWhenMostAreSlowAndComesBackInSteps) {
  EndpointLoad load = Answering(5, 10ms);
  EXPECT_NEAR(load.Latency(kStart), 0.010, 1e-9);
  auto now = Answer(load, kStart, 3, 100ms);  // Three of five: that is no accident.
  EXPECT_NEAR(load.Latency(now), 0.100, 1e-9);
  now = Answer(load, now, 3, 10ms);
  EXPECT_NEAR(load.Latency(now), 0.100 - 0.3 * 0.090, 1e-3);
  now = Answer(load, now, 30, 10ms);
  EXPECT_NEAR(load.Latency(now), 0.010, 0.010);
}

TEST(EndpointLoadTest, AveragesWhatIsLikeTheAverage) {
  EndpointLoad load = Answering(5, 10ms);
  const auto now = Answer(load, kStart, 8, 20ms);
  EXPECT_GT(load.Latency(now), 0.010);
  EXPECT_LT(load.Latency(now), 0.015);
}

TEST(EndpointLoadTest, AHiccupOrTwoAreAccidents) {
  EndpointLoad load = Answering(5, 10ms);
  const auto now = Answer(load, kStart, 2, 500ms);
  EXPECT_NEAR(load.Latency(now), 0.010, 1e-9);
}

TEST(EndpointLoadTest, FadesOnlyWhileNothingIsOutstanding) {
  EndpointLoad idle = Answering(3, 100ms);
  EndpointLoad busy = Answering(3, 100ms);
  idle.SetFade(1s);
  busy.SetFade(1s);
  busy.Started(1, kStart);
  EXPECT_NEAR(idle.Latency(kStart + 1s), 0.100 * std::exp(-1.0), 1e-9);
  EXPECT_LT(idle.Latency(kStart + 3s), 0.010);
  EXPECT_NEAR(busy.Latency(kStart + 3s), 0.100, 1e-9);
}

TEST(EndpointLoadTest, ASilentOneGetsDearerByTheSecond) {
  EndpointLoad load = Answering(3, 10ms);
  load.Started(1, kStart);
  EXPECT_GE(load.Cost(kStart + 15s), 15.0);
  EXPECT_EQ(load.OldestAge(kStart + 15s), 15s);
  load.Started(1, kStart + 14s);  // A younger one changes nothing.
  EXPECT_EQ(load.OldestAge(kStart + 15s), 15s);
}

TEST(EndpointLoadTest, WhatWasAbandonedWouldHaveTakenLonger) {
  EndpointLoad load = Answering(3, 10ms);
  const auto call = load.Started(1, kStart);
  load.Abandoned(call, kStart + 2s);
  EXPECT_NEAR(load.Latency(kStart + 2s), 2.0, 1e-9);
  EXPECT_EQ(load.rows(), 0U);
}

TEST(EndpointLoadTest, WhoIsAlwaysOvertakenIsTriedEverMoreSeldom) {
  EndpointLoad load = Answering(3, 4ms);
  load.SetFade(80ms);
  core::Clock::time_point now = kStart;
  std::vector<double> waits;  // until it looks as quick again as it was
  for (int i = 0; i < 5; ++i) {
    load.Abandoned(load.Started(1, now), now + 15ms);
    now += 15ms;
    const core::Clock::time_point begin = now;
    while (load.Latency(now) > 0.005) now += 1ms;
    waits.push_back(core::Seconds(now - begin));
  }
  for (size_t i = 1; i < waits.size(); ++i) EXPECT_GT(waits[i], 1.9 * waits[i - 1]) << i;
  load.Answered(load.Started(1, now), 0, now + 4ms);  // It is well again.
  load.Abandoned(load.Started(1, now), now + 15ms);
  EXPECT_NEAR(load.Latency(now + 15ms), 0.015, 1e-9);
}

TEST(EndpointLoadTest, RestsForAsLongAsItAskedAndForASecondAtMost) {
  EndpointLoad load;
  EXPECT_FALSE(load.Resting(kStart));
  load.AskedForPatience(300ms, kStart);
  EXPECT_TRUE(load.Resting(kStart + 299ms));
  EXPECT_FALSE(load.Resting(kStart + 300ms));
  load.AskedForPatience(1h, kStart);
  EXPECT_TRUE(load.Resting(kStart + 999ms));
  EXPECT_FALSE(load.Resting(kStart + 1s));
  load.AskedForPatience(10ms, kStart + 500ms);  // The longer word counts.
  EXPECT_TRUE(load.Resting(kStart + 999ms));
}

TEST(EndpointLoadTest, DoesNotRestForACallThatIsNotToComeAgain) {
  EndpointLoad load;
  load.AskedForPatience(-1ms, kStart);
  EXPECT_FALSE(load.Resting(kStart));
}

TEST(EndpointLoadTest, FailuresAreNotQuick) {
  EndpointLoad load;
  for (int i = 0; i < 3; ++i) load.Failed(load.Started(1, kStart), kStart + 1ms);
  EXPECT_GE(load.Cost(kStart + 1ms), 1.0);
}

TEST(EndpointLoadTest, CostGrowsWithRowsOfOursAndOfOthers) {
  EndpointLoad load = Answering(3, 10ms);
  const double alone = load.Cost(kStart);
  load.Started(4, kStart);
  EXPECT_NEAR(load.Cost(kStart), 5 * alone, 1e-9);
  EndpointLoad others = Answering(3, 10ms);
  others.Answered(others.Started(1, kStart - 10ms), 9, kStart);
  EXPECT_NEAR(others.Cost(kStart), 10 * alone, 1e-3);
}

}  // namespace
}  // namespace orchard::experts
