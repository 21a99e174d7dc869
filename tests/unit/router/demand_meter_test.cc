#include "router/demand_meter.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "router/gather.h"
#include "tests/testing/allocations.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using ::testing::Le;
using testing::Line;
using testing::With;
using namespace std::chrono_literals;

/// A row takes 7 ms of a replica that is to be busy for 0.7: 100 rows a second make one.
constexpr double kServiceSeconds = 0.007;

class DemandMeterTest : public ::testing::Test {
 protected:
  /// `seconds` of `rate` rows a second, evenly; looks once a second. Returns what was desired then.
  std::vector<double> Run(int seconds, int rate, size_t domain = 0) {
    std::vector<double> desired;
    for (int second = 0; second < seconds; ++second) {
      for (int row = 0; row < rate; ++row) meter_.Wanted(domain, now_ + row * (1000ms / rate));
      now_ += 1s;
      desired.push_back(Desired(domain));
    }
    return desired;
  }
  Demand Read(size_t domain = 0) { return meter_.Read(domain, kServiceSeconds, now_ - 1ms); }
  double Desired(size_t domain = 0) { return Read(domain).desired_replicas; }

  DemandMeter meter_{2, {.window = 30s, .target_utilisation = 0.7}};
  Clock::time_point now_ = Clock::time_point(1000h);
};

TEST_F(DemandMeterTest, NothingIsDesiredWhereNothingWasWanted) {
  EXPECT_EQ(Read(), (Demand{.service_seconds = kServiceSeconds}));
  EXPECT_EQ(meter_.Read(0, std::nullopt, now_), Demand{});
}

TEST_F(DemandMeterTest, DesiredIsRateTimesServiceTimeOverUtilisation) {
  Run(60, 100);
  EXPECT_THAT(Desired(), DoubleNear(1.0, 0.01));
  EXPECT_THAT(Read().rows_per_second, DoubleNear(100.0, 1.0));
  EXPECT_TRUE(Read().active);
  EXPECT_FALSE(Read(1).active) << "the other domain";
}

TEST_F(DemandMeterTest, OneIsDesiredUntilAServiceTimeIsKnown) {
  meter_.Wanted(0, now_);
  const Demand unknown = meter_.Read(0, std::nullopt, now_);
  EXPECT_TRUE(unknown.active);
  EXPECT_EQ(unknown.desired_replicas, 1.0);
  EXPECT_LT(meter_.Read(0, kServiceSeconds, now_).desired_replicas, 0.01);
}

TEST_F(DemandMeterTest, ARampIsSeenAfterASixthOfTheWindow) {
  Run(60, 100);
  const std::vector<double> ramp = Run(5, 400);
  EXPECT_THAT(ramp[0], Ge(1.5));
  EXPECT_THAT(ramp[4], DoubleNear(4.0, 0.01));
}

TEST_F(DemandMeterTest, ALullIsBelievedAfterAWholeWindow) {
  Run(60, 400);
  const std::vector<double> lull = Run(40, 100);
  for (int second = 0; second < 25; ++second) {
    EXPECT_THAT(lull[static_cast<size_t>(second)], DoubleNear(4.0, 0.01)) << second;
  }
  EXPECT_THAT(Run(25, 100).back(), DoubleNear(1.0, 0.15));
}

TEST_F(DemandMeterTest, TrafficThatComesAndGoesMovesNothing) {
  Run(60, 400);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Run(10, 50), Each(DoubleNear(4.0, 0.01)));
    EXPECT_THAT(Run(10, 400), Each(DoubleNear(4.0, 0.01)));
  }
}

TEST_F(DemandMeterTest, PoissonArrivalsMoveLittle) {
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same each time.
  std::poisson_distribution<int> arrivals(100.0);
  constexpr int kSeconds = 1800;
  Run(60, 100);
  double said = Desired();
  double sum = 0.0;
  int changes = 0;
  for (int second = 0; second < kSeconds; ++second) {
    const double next = Run(1, arrivals(random)).back();
    changes += next == said ? 0 : 1;
    said = next;
    sum += said;
  }
  EXPECT_LE(changes, kSeconds / 60);
  EXPECT_THAT(sum / kSeconds, AllOf(Ge(1.0), Le(1.15)));
}

TEST_F(DemandMeterTest, AFallOfLessThanATenthIsNone) {
  Run(60, 400);
  EXPECT_THAT(Run(120, 364).back(), DoubleNear(4.0, 0.01));
  // It falls in steps of a tenth at least, and so may stay less than one above what is needed.
  EXPECT_THAT(Run(120, 340).back(), AllOf(Ge(3.39), Le(3.6)));
  EXPECT_THAT(Run(10, 360).back(), DoubleNear(3.6, 0.01)) << "a rise is one, however small";
}

TEST_F(DemandMeterTest, AfterAWindowWithoutAPictureItIsOverAtOnce) {
  Run(60, 400);
  now_ += 29s;
  EXPECT_TRUE(Read().active);
  EXPECT_THAT(Desired(), DoubleNear(4.0, 0.01));
  now_ += 2s;
  EXPECT_EQ(Read(), (Demand{.service_seconds = kServiceSeconds}));
  meter_.Wanted(0, now_);
  const Demand anew = meter_.Read(0, kServiceSeconds, now_);
  EXPECT_TRUE(anew.active);
  EXPECT_LT(anew.desired_replicas, 0.1) << "what was before the lull is forgotten";
}

TEST_F(DemandMeterTest, AFirstPictureTellsAndTheNextDoesNot) {
  int told = 0;
  meter_.OnActive([&] { ++told; });
  Run(5, 10);
  EXPECT_EQ(told, 1);
  Run(5, 10, 1);
  EXPECT_EQ(told, 2);
  now_ += 1h;
  EXPECT_FALSE(Read().active);
  Run(5, 10);
  EXPECT_EQ(told, 3);
}

TEST_F(DemandMeterTest, CountsWhatManyThreadsWant) {
  constexpr int kThreads = 4;
  constexpr int kEach = 30'000;
  std::atomic<int> told = 0;
  meter_.OnActive([&] { ++told; });
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) meter_.Wanted(0, now_ + i * 1us);
      });
    }
  }
  EXPECT_EQ(told, 1);
  const Demand demand = meter_.Read(0, kServiceSeconds, now_);
  EXPECT_THAT(demand.rows_per_second, DoubleNear(kThreads * kEach / 30.0, 1e-6));
}

TEST_F(DemandMeterTest, WantingAllocatesNothing) {
  EXPECT_EQ(orchard::testing::CountAllocations([&] {
              for (int second = 0; second < 200; ++second) meter_.Wanted(0, now_ + second * 1s);
            }),
            0U);
}

TEST(DemandOfPicturesTest, CountsEachChosenDomainOnceWhetherOrNotItAnswers) {
  DemandMeter meter(testing::kSmallDomains, {});
  Line::Options options;
  options.experts.demand = &meter;
  Line line(std::move(options));
  line.expert(kFruit).SetUnavailable(experts::MissingReason::kCold);
  line.expert(kVegetable).AnswerBy([](const auto&, const auto&) {
    return absl::UnavailableError("gone");
  });
  const auto counts = [&] {
    std::vector<double> rows;
    for (size_t domain = 0; domain < testing::kSmallDomains; ++domain) {
      rows.push_back(meter.Read(domain, std::nullopt, Clock::now()).rows_per_second * 30.0);
    }
    return rows;
  };
  const auto near = [](double rows) { return DoubleNear(rows, 1e-9); };
  ASSERT_THAT(line.Classify(1, With(v1::DENSE)), IsOk());
  EXPECT_THAT(counts(), ElementsAre(near(1), near(1), near(1)));
  ASSERT_THAT(line.Classify(1), IsOk());  // Exact: blast is sure, nobody else could win.
  EXPECT_THAT(counts(), ElementsAre(near(2), near(1), near(1)));
}

}  // namespace
}  // namespace orchard::router
