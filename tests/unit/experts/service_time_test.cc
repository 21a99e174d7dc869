#include "experts/service_time.h"

#include <chrono>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"

namespace orchard::experts {
namespace {

using core::Clock;
using ::testing::DoubleNear;
using ::testing::Optional;
using namespace std::chrono_literals;

constexpr double kExact = 1e-9;

class ServiceTimeTest : public ::testing::Test {
 protected:
  /// A process of `workers` threads on `cpus` cores.
  ServiceTime Of(size_t workers, double cpus, size_t domains = 1) {
    return ServiceTime({.domains = domains, .workers = workers, .cpus = cpus, .cpu_time = [this] {
                          return cpu_;
                        }});
  }

  /// `seconds` seconds, in each of which ten batches of ten rows kept a worker busy for `busy`, and
  /// the process used `cpu`.
  void Run(ServiceTime& time, int seconds, Clock::duration busy, Clock::duration cpu,
           size_t domain = 0) {
    for (int batch = 0; batch < 10 * seconds; ++batch) {
      now_ += 100ms;
      cpu_ += cpu / 10;
      time.Worked(domain, 10, busy / 10, now_);
    }
  }

  Clock::time_point now_ = Clock::time_point(1000h);
  Clock::duration cpu_ = 3s;  // Loading a model takes some; it is nobody's row's.
};

TEST_F(ServiceTimeTest, IsUnknownBeforeTheFirstRow) {
  ServiceTime time = Of(1, 1.0);
  EXPECT_EQ(time.Seconds(0), std::nullopt);
  time.Worked(0, 0, 5ms, now_);  // A batch that failed.
  EXPECT_EQ(time.Seconds(0), std::nullopt);
}

TEST_F(ServiceTimeTest, IsWhatARowTakesOfTheWorkersFromTheFirstOneOn) {
  ServiceTime time = Of(2, 2.0);
  time.Worked(0, 4, 8ms, now_);
  // 8 ms of two workers: four rows take 4 ms of the process.
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.001, kExact)));
}

TEST_F(ServiceTimeTest, IsOfTheCoresWhereTheyAreBusierThanTheWorkers) {
  ServiceTime time = Of(1, 2.0);
  // 100 rows a second: 200 ms of the one worker, 1200 ms of two cores.
  Run(time, 12, 200ms, 1200ms);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.006, 1e-5)));
  EXPECT_THAT(time.overhead(), DoubleNear(3.0, 0.01));
}

TEST_F(ServiceTimeTest, IsOfTheWorkersWhereAnAcceleratorDoesTheWork) {
  ServiceTime time = Of(1, 2.0);
  Run(time, 12, 800ms, 600ms);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.008, 1e-5)));
  EXPECT_EQ(time.overhead(), 1.0);
}

TEST_F(ServiceTimeTest, WhatAnIdleProcessUsesIsNoRows) {
  ServiceTime time = Of(1, 2.0);
  for (int second = 0; second < 100; ++second) {
    now_ += 1s;
    cpu_ += 80ms;  // 4 % of two cores.
    time.Worked(0, 1, 1ms, now_);
  }
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.001, kExact)));
}

TEST_F(ServiceTimeTest, KeepsTheOverheadWhenLoadGoes) {
  ServiceTime time = Of(1, 1.0);
  Run(time, 12, 200ms, 600ms);
  now_ += 1h;
  time.Worked(0, 10, 20ms, now_);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.006, 1e-5)));
}

TEST_F(ServiceTimeTest, APauseIsNoRowsEither) {
  ServiceTime time = Of(1, 1.0);
  Run(time, 3, 500ms, 500ms);
  cpu_ += 60s;
  now_ += 1h;
  Run(time, 3, 500ms, 500ms);
  EXPECT_THAT(time.overhead(), DoubleNear(1.0, 0.1));
}

TEST_F(ServiceTimeTest, ForgetsWhatIsOlderThanTheWindow) {
  ServiceTime time = Of(1, 1.0);
  Run(time, 20, 900ms, 900ms);
  Run(time, 12, 100ms, 100ms);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.001, 1e-5)));
}

TEST_F(ServiceTimeTest, KeepsWhatItKnewOfADomainThatNobodyAsks) {
  ServiceTime time = Of(1, 1.0, /*domains=*/2);
  Run(time, 12, 300ms, 300ms, 0);
  Run(time, 30, 600ms, 600ms, 1);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.003, 1e-4)));
  EXPECT_THAT(time.Seconds(1), Optional(DoubleNear(0.006, 1e-4)));
}

TEST_F(ServiceTimeTest, DomainsBearTheOverheadByTheirShareOfTheWorkers) {
  ServiceTime time = Of(1, 1.0, /*domains=*/2);
  for (int second = 0; second < 12; ++second) {
    now_ += 1s;
    cpu_ += 800ms;
    time.Worked(0, 100, 100ms, now_);  // 1 ms a row
    time.Worked(1, 100, 300ms, now_);  // 3 ms a row
  }
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.002, 1e-4)));
  EXPECT_THAT(time.Seconds(1), Optional(DoubleNear(0.006, 1e-4)));
}

TEST_F(ServiceTimeTest, WorkersThatRaceCountAsOfTheNewestStep) {
  ServiceTime time = Of(1, 1.0);
  time.Worked(0, 10, 10ms, now_ + 2s);
  time.Worked(0, 10, 30ms, now_);
  EXPECT_THAT(time.Seconds(0), Optional(DoubleNear(0.002, kExact)));
}

}  // namespace
}  // namespace orchard::experts
