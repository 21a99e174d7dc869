#include "router/total_demand.h"

#include <chrono>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::router {
namespace {

using core::Clock;
using ::testing::DoubleNear;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr double kUtilisation = 0.5;
constexpr Clock::time_point kNow{1000h};

Demand Needs(double replicas, double rows, std::optional<double> service) {
  return {.rows_per_second = rows,
          .desired_replicas = replicas,
          .active = rows > 0.0,
          .service_seconds = service};
}

TEST(TotalDemandTest, AddsUp) {
  const std::vector<Demand> routers = {Needs(1.25, 10.0, 0.010), Needs(0.5, 4.0, 0.020),
                                       Needs(0.0, 0.0, 0.030)};
  EXPECT_EQ(TotalOf(routers, kUtilisation), Needs(1.75, 14.0, 0.020));
}

TEST(TotalDemandTest, WhoDoesNotKnowTheServiceTimeTakesThatOfTheOthers) {
  const std::vector<Demand> routers = {Needs(1.25, 10.0, 0.010), Needs(1.0, 100.0, std::nullopt)};
  const Demand total = TotalOf(routers, kUtilisation);
  EXPECT_THAT(total.desired_replicas, DoubleNear(1.25 + 100.0 * 0.010 / kUtilisation, 1e-9));
}

TEST(TotalDemandTest, OneReplicaIsEnoughToFindOut) {
  const std::vector<Demand> routers(10, Needs(1.0, 100.0, std::nullopt));
  EXPECT_EQ(TotalOf(routers, kUtilisation).desired_replicas, 1.0);
  const std::vector<Demand> idle(10, Demand{});
  EXPECT_EQ(TotalOf(idle, kUtilisation), Demand{});
}

class PeerReportsTest : public ::testing::Test {
 protected:
  static PeerReport Says(const std::string& instance, double replicas,
                         Clock::time_point when = kNow) {
    return {.instance = instance, .domains = {Needs(replicas, replicas, 0.010)}, .when = when};
  }
  double Total(Clock::time_point now = kNow) const {
    const std::vector<Demand> own = {Needs(1.0, 1.0, 0.010)};
    const std::vector<Demand> totals = reports_.Totals(own, "me", kUtilisation, now);
    EXPECT_THAT(totals, SizeIs(1));
    return totals[0].desired_replicas;
  }

  PeerReports reports_{5s};
};

TEST_F(PeerReportsTest, PeersAddToOurs) {
  EXPECT_EQ(Total(), 1.0);
  reports_.Put("10.0.0.2:8001", Says("a", 2.0));
  reports_.Put("10.0.0.3:8001", Says("b", 4.0));
  EXPECT_EQ(Total(), 7.0);
  reports_.Put("10.0.0.3:8001", Says("b", 3.0));
  EXPECT_EQ(Total(), 6.0);
  reports_.Forget("10.0.0.2:8001");
  EXPECT_EQ(Total(), 4.0);
}

TEST_F(PeerReportsTest, WeAreNotOurPeerAndNobodyIsTwo) {
  reports_.Put("10.0.0.1:8001", Says("me", 1.0));
  reports_.Put("10.0.0.2:8001", Says("a", 2.0));
  reports_.Put("[fd00::2]:8001", Says("a", 2.0));
  EXPECT_EQ(Total(), 3.0);
}

TEST_F(PeerReportsTest, WhoIsSilentCountsNoLonger) {
  reports_.Put("10.0.0.2:8001", Says("a", 2.0));
  EXPECT_EQ(Total(kNow + 5s), 3.0);
  EXPECT_EQ(Total(kNow + 5s + 1ms), 1.0);
}

TEST_F(PeerReportsTest, AChangeOfWhoIsActiveIsSaid) {
  EXPECT_TRUE(reports_.Put("10.0.0.2:8001", Says("a", 0.0))) << "a new one";
  EXPECT_TRUE(reports_.Put("10.0.0.2:8001", Says("a", 2.0)));
  EXPECT_FALSE(reports_.Put("10.0.0.2:8001", Says("a", 3.0)));
  EXPECT_TRUE(reports_.Put("10.0.0.2:8001", Says("a", 0.0)));
}

TEST_F(PeerReportsTest, AReportOfOtherDomainsIsNone) {
  PeerReport odd = Says("a", 2.0);
  odd.domains.resize(2);
  reports_.Put("10.0.0.2:8001", odd);
  EXPECT_EQ(Total(), 1.0);
}

}  // namespace
}  // namespace orchard::router
