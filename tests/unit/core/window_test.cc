#include "core/window.h"

#include <chrono>
#include <deque>
#include <random>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;

constexpr Clock::time_point kStart{1000h};

TEST(WindowSumsTest, AddsPerKey) {
  WindowSums sums(/*keys=*/3, /*window=*/60s, /*buckets=*/60);
  sums.Add(0, 1.0, kStart);
  sums.Add(2, 0.25, kStart);
  sums.Add(2, 0.25, kStart + 1s);
  EXPECT_THAT(sums.Sums(kStart + 2s), ElementsAre(1.0, 0.0, 0.5));
}

TEST(WindowSumsTest, ForgetsWhatIsOlderThanTheWindow) {
  WindowSums sums(/*keys=*/2, /*window=*/60s, /*buckets=*/60);
  sums.Add(0, 1.0, kStart);
  sums.Add(1, 4.0, kStart + 59s);
  EXPECT_THAT(sums.Sums(kStart + 59s), ElementsAre(1.0, 4.0));
  EXPECT_THAT(sums.Sums(kStart + 60s), ElementsAre(0.0, 4.0));
  EXPECT_THAT(sums.Sums(kStart + 119s), ElementsAre(0.0, 0.0));
}

TEST(WindowSumsTest, ForgetsAllAfterALongSilence) {
  WindowSums sums(/*keys=*/1, /*window=*/10s, /*buckets=*/5);
  for (int second = 0; second < 10; ++second) sums.Add(0, 1.0, kStart + second * 1s);
  EXPECT_THAT(sums.Sums(kStart + 9s), ElementsAre(10.0));
  EXPECT_THAT(sums.Sums(kStart + 100h), ElementsAre(0.0));
}

TEST(WindowSumsTest, WhatComesLateCountsAsNow) {
  WindowSums sums(/*keys=*/1, /*window=*/10s, /*buckets=*/10);
  sums.Add(0, 1.0, kStart + 5s);
  sums.Add(0, 1.0, kStart + 4s);  // Another thread read the clock a moment earlier.
  EXPECT_THAT(sums.Sums(kStart + 5s), ElementsAre(2.0));
  EXPECT_THAT(sums.Sums(kStart + 14s), ElementsAre(2.0));
  EXPECT_THAT(sums.Sums(kStart + 15s), ElementsAre(0.0));
}

TEST(WindowSumsTest, WorksFromTheEpochOfTheClockAndWithoutKeys) {
  WindowSums sums(/*keys=*/1, /*window=*/10s, /*buckets=*/10);
  sums.Add(0, 1.0, Clock::time_point{});
  EXPECT_THAT(sums.Sums(Clock::time_point{9s}), ElementsAre(1.0));
  EXPECT_THAT(sums.Sums(Clock::time_point{10s}), ElementsAre(0.0));
  EXPECT_THAT(WindowSums(0, 10s, 10).Sums(kStart), IsEmpty());
}

TEST(WindowSumsTest, AgreesWithAListOfAllThatWasAddedToOneStep) {
  std::mt19937_64 random(1);
  WindowSums sums(/*keys=*/1, /*window=*/60s, /*buckets=*/12);
  std::deque<Clock::time_point> added;
  Clock::time_point now = kStart;
  for (int i = 0; i < 5000; ++i) {
    now += std::chrono::milliseconds(random() % 1000);
    sums.Add(0, 1.0, now);
    added.push_back(now);
    while (added.front() <= now - 60s) added.pop_front();
    double surely = 0.0;  // What is younger than the window by more than a step.
    for (const Clock::time_point& time : added) surely += time > now - 55s ? 1.0 : 0.0;
    const double sum = sums.Sums(now)[0];
    EXPECT_LE(sum, static_cast<double>(added.size()));
    EXPECT_GE(sum, surely);
  }
}

}  // namespace
}  // namespace orchard::core
