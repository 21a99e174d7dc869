/// The simulation against what queueing theory knows, and against its own books.

#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/fleet/report.h"
#include "bench/fleet/simulation.h"
#include "tests/testing/status_matchers.h"

namespace orchard::bench {
namespace {

using orchard::testing::IsOk;
using namespace std::chrono_literals;

/// One router without experts to speak of: pictures take no time but in decoding.
FleetPlan OneQueue(Times decode, double rate, size_t servers) {
  FleetPlan plan;
  plan.warm_up = 20s;
  plan.measured = 2'000s;
  plan.interval = 500s;
  plan.arrivals.rate = rate;
  plan.arrivals.deadline = 1h;
  plan.routers.cores = static_cast<double>(servers);
  plan.routers.decode_workers = servers;
  plan.routers.decode = std::move(decode);
  plan.routers.in_flight = 100'000;
  plan.routers.expert_in_flight = 100'000;
  plan.domains = {{.name = "all"}};
  return plan;
}

/// One expert behind a router that takes no time.
FleetPlan OneExpert(Times row, double rate) {
  FleetPlan plan = OneQueue(Times(), rate, 1);
  plan.domains[0].row = std::move(row);
  plan.pods.max_batch = 1;
  plan.pods.max_waiting = 100'000;
  plan.routers.expert_timeout = 1h;
  return plan;
}

double MeanMs(FleetPlan plan) {
  EXPECT_THAT(CheckPlan(plan), IsOk());
  Simulation simulation(std::move(plan));
  simulation.Run();
  EXPECT_EQ(simulation.left_over(), 0U);
  EXPECT_EQ(simulation.tally().measured().offered, simulation.tally().measured().answered);
  return core::Milliseconds(simulation.tally().latency().mean());
}

constexpr double kServiceMs = 10.0;
constexpr double kRate = 80.0;  // pictures a second: the server is busy for .8 of the time
constexpr double kLoad = kRate * kServiceMs / 1e3;

/// Pollaczek and Khinchine: what a picture waits and takes, of M/G/1 with that squared coefficient
/// of variation of the service.
double OneServerMs(double variation) {
  return kServiceMs * (1.0 + kLoad / (1.0 - kLoad) * (1.0 + variation) / 2.0);
}

TEST(FleetSimulationTest, ExponentialServiceIsMM1) {
  Simulation simulation(OneQueue(Times::Exponential(kServiceMs / 1e3), kRate, 1));
  simulation.Run();
  const auto& latency = simulation.tally().latency();
  const double mean = OneServerMs(1.0);
  EXPECT_NEAR(core::Milliseconds(latency.mean()), mean, 0.05 * mean);
  // Its latency is exponential, too.
  EXPECT_NEAR(core::Milliseconds(latency.Quantile(.5)), std::log(2.0) * mean, 0.05 * mean);
  EXPECT_NEAR(core::Milliseconds(latency.Quantile(.99)), std::log(100.0) * mean, 0.5 * mean);
  EXPECT_NEAR(simulation.RouterUtilisation().mean, kLoad, 0.01);
}

TEST(FleetSimulationTest, ConstantServiceIsMD1) {
  const double mean = OneServerMs(0.0);
  EXPECT_NEAR(MeanMs(OneQueue(Times::Constant(kServiceMs / 1e3), kRate, 1)), mean, 0.04 * mean);
}

TEST(FleetSimulationTest, TwoServersAreMM2) {
  // Erlang's C of two servers: the chance to wait is 2ρ² / (1 + ρ).
  const double waits = 2.0 * kLoad * kLoad / (1.0 + kLoad);
  const double mean = kServiceMs * (1.0 + waits / (2.0 * (1.0 - kLoad)));
  EXPECT_NEAR(MeanMs(OneQueue(Times::Exponential(kServiceMs / 1e3), 2 * kRate, 2)), mean,
              0.05 * mean);
}

TEST(FleetSimulationTest, WorkBesideTheStagesSharesTheCore) {
  // Nothing waits for a place: processor sharing, whose mean is M/M/1's whatever the law.
  FleetPlan plan = OneQueue(Times(), kRate, 1);
  plan.routers.receive = Times::Constant(kServiceMs / 1e3);
  const double mean = kServiceMs / (1.0 - kLoad);
  EXPECT_NEAR(MeanMs(std::move(plan)), mean, 0.05 * mean);
}

TEST(FleetSimulationTest, AnExpertIsMD1Too) {
  const double mean = OneServerMs(0.0);
  FleetPlan plan = OneExpert(Times::Constant(kServiceMs / 1e3), kRate);
  EXPECT_NEAR(MeanMs(plan), mean, 0.04 * mean);
  plan.pods.hop = 3ms;
  plan.arrivals.hop = 2ms;
  EXPECT_NEAR(MeanMs(plan), mean + 10.0, 0.04 * mean);
}

TEST(FleetSimulationTest, BatchesCarryWhatSingleRowsCanNot) {
  // 200 rows a second of 10 ms each; four fifths of that is the batch's and not the row's.
  FleetPlan plan = OneExpert(Times::Constant(kServiceMs / 1e3), 200.0);
  plan.measured = 100s;
  plan.domains[0].row_fixed = 0.8;
  plan.pods.max_batch = 32;
  EXPECT_LT(MeanMs(std::move(plan)), 40.0);
}

/// A small fleet of everything: two domains, subsets, batches.
FleetPlan SmallFleet(double rate) {
  FleetPlan plan;
  plan.warm_up = 5s;
  plan.measured = 20s;
  plan.arrivals = {.rate = rate, .deadline = 1s, .second_expert = 0.1, .hop = 200us};
  plan.routers.count = 6;
  plan.routers.decode = Times::Exponential(0.005);
  plan.routers.encode = Times::Constant(0.006);
  plan.routers.encode_fixed = 0.2;
  plan.routers.receive = Times::Constant(0.0005);
  plan.routers.combine = Times::Constant(0.0001);
  plan.routers.subset = 4;
  plan.domains = {{.name = "fruit", .share = 3.0, .row = Times::Exponential(0.004), .replicas = 9},
                  {.name = "rice", .share = 1.0, .row = Times::Exponential(0.001), .replicas = 3}};
  plan.pods.hop = 200us;
  plan.pods.call = Times::Constant(0.0003);
  return plan;
}

TEST(FleetSimulationTest, EveryPictureEndsInOneWay) {
  for (const double rate : {300.0, 3'000.0}) {
    FleetPlan plan = SmallFleet(rate);
    plan.fault = {.on = true, .kind = FaultPlan::Kind::kSilent, .at = 8s};
    Simulation simulation(std::move(plan));
    simulation.Run();
    const Counts& counts = simulation.tally().everything();
    EXPECT_EQ(simulation.left_over(), 0U);
    EXPECT_EQ(counts.offered, counts.answered + counts.degraded + counts.lost + counts.refused());
    EXPECT_GT(counts.answered, 0U);
    EXPECT_GT(counts.lost, 0U) << "with the routers of the zone";
    EXPECT_EQ(counts.refused() > 0, rate > 1'000.0);
  }
}

TEST(FleetSimulationTest, TheSameSeedGivesTheSameFigures) {
  const auto report = [](std::uint64_t seed) {
    FleetPlan plan = SmallFleet(300.0);
    plan.seed = seed;
    Simulation simulation(std::move(plan));
    simulation.Run();
    return ReportJson(simulation, 0.0);
  };
  EXPECT_EQ(report(1), report(1));
  EXPECT_NE(report(1), report(2));
}

TEST(FleetSimulationTest, ASubsetBoundsConnections) {
  Simulation simulation(SmallFleet(300.0));
  simulation.Run();
  EXPECT_EQ(simulation.connections(), 6U * (4 + 3)) << "four of nine, and all of three";
}

TEST(FleetSimulationTest, ADeadZoneCostsLittleWhereTheRestHasRoom) {
  FleetPlan plan = SmallFleet(300.0);
  plan.fault = {.on = true, .kind = FaultPlan::Kind::kDead, .at = 5s, .routers_too = false};
  Simulation simulation(std::move(plan));
  simulation.Run();
  const Counts& counts = simulation.tally().measured();
  EXPECT_GT(simulation.tally().retries(), 0U) << "of the calls that were with it";
  EXPECT_LT(static_cast<double>(counts.degraded), 0.002 * static_cast<double>(counts.offered));
  EXPECT_EQ(counts.lost, 0U);
}

TEST(FleetSimulationTest, ASilentZoneIsEjectedAndThenForgotten) {
  FleetPlan plan = SmallFleet(300.0);
  plan.measured = 60s;
  plan.fault = {.on = true, .kind = FaultPlan::Kind::kSilent, .at = 20s, .routers_too = false};
  Simulation simulation(std::move(plan));
  simulation.Run();
  EXPECT_GT(simulation.tally().ejections(), 0U);
  const auto& intervals = simulation.tally().intervals();
  EXPECT_EQ(intervals[3].counts.degraded, 0U) << "before";
  EXPECT_LT(static_cast<double>(intervals[8].counts.degraded),
            0.002 * static_cast<double>(intervals[8].counts.offered));
}

TEST(FleetSimulationTest, AHotDomainGrowsAndItAlone) {
  FleetPlan plan = SmallFleet(300.0);
  plan.measured = 150s;
  plan.arrivals.surges = {{.domain = 0, .from = 40s, .to = 150s, .factor = 4.0}};
  plan.routers.count = 12;  // They must not be the bottleneck.
  plan.domains[0].replicas = plan.domains[1].replicas = 2;
  plan.autoscaler = {.on = true, .start = Times::Constant(10.0)};
  Simulation simulation(std::move(plan));
  simulation.Run();
  const auto& samples = simulation.samples();
  EXPECT_LE(samples[7].serving[0], 3U);
  EXPECT_EQ(samples[7].serving[1], 2U) << "down only after its time";
  // 900 rows a second of 4.3 ms at .7.
  EXPECT_GE(samples.back().serving[0], 5U);
  EXPECT_LE(samples.back().serving[0], 8U);
  EXPECT_LE(samples.back().serving[1], 2U);
}

}  // namespace
}  // namespace orchard::bench
