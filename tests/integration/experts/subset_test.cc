// A router that connects to some of a domain's many endpoints: to which, and to whom instead when
// they can't be used.

#include "experts/subset.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/remote_expert.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using testing::Eventually;
using testing::IsOk;
using ::testing::IsSubsetOf;
using testing::SampleScores;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

constexpr std::uint64_t kRouter = 7;
constexpr size_t kWanted = 2;

class SubsetExpertTest : public ::testing::Test {
 protected:
  /// Servers on five addresses of loopback and one port; addresses_ has them as this router wants
  /// them.
  void SetUp() override {
    servers_["127.0.0.1"] = std::make_unique<ExpertServer>();
    port_ = servers_["127.0.0.1"]->address().port;
    for (const std::string host : {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}) Start(host);
    std::vector<std::string> all;
    for (const auto& [host, server] : servers_) all.push_back(server->address().ToString());
    for (const size_t index : RendezvousOrder(kRouter, all)) addresses_.push_back(all[index]);
  }

  void Start(const std::string& host) {
    servers_[host] = std::make_unique<ExpertServer>(ExpertServer::Options{
        .scorer = [this, host](std::span<const float> features,
                               size_t rows) -> absl::StatusOr<model::ScoreBatch> {
          if (host == broken_) return absl::InternalError("broken");
          return SampleScores(features, rows);
        },
        .listen = {host, port_}});
  }

  static std::string HostOf(const std::string& address) {
    return address.substr(0, address.find(':'));
  }
  ExpertServer& ServerAt(const std::string& address) { return *servers_[HostOf(address)]; }

  std::unique_ptr<RemoteExpert> Connect() {
    std::vector<std::string> listed = addresses_;
    std::ranges::sort(listed);
    RemoteExpertOptions options;
    options.subset = kWanted;
    options.router = kRouter;
    return Remote(listed, std::move(options));
  }

  static std::vector<std::string> In(const RemoteExpert& expert, EndpointState state) {
    std::vector<std::string> found;
    for (const auto& endpoint : expert.Endpoints()) {
      if (endpoint.state == state) found.push_back(endpoint.address);
    }
    EXPECT_LE(state == EndpointState::kUp ? found.size() : 0U, kWanted);
    return found;
  }

  /// Until those of the router's order at these places, and no others, are up.
  bool EventuallyUp(const RemoteExpert& expert, const std::vector<size_t>& places) const {
    std::vector<std::string> wanted;
    for (const size_t place : places) wanted.push_back(addresses_[place]);
    std::ranges::sort(wanted);
    return Eventually([&] {
      std::vector<std::string> up = In(expert, EndpointState::kUp);
      std::ranges::sort(up);
      return up == wanted;
    });
  }

  std::string broken_;  // a host whose answers are errors; set before it starts
  std::uint16_t port_ = 0;
  std::map<std::string, std::unique_ptr<ExpertServer>> servers_;  // by host
  std::vector<std::string> addresses_;
};

TEST_F(SubsetExpertTest, ConnectsToTheFirstOfItsOrderAlone) {
  const auto expert = Connect();
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  EXPECT_THAT(In(*expert, EndpointState::kUp),
              UnorderedElementsAreArray({addresses_[0], addresses_[1]}));
  EXPECT_THAT(expert->Endpoints(), SizeIs(kWanted));
  for (unsigned i = 0; i < 40; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  for (size_t place = 0; place < addresses_.size(); ++place) {
    EXPECT_EQ(RowsOf(ServerAt(addresses_[place])) > 0, place < kWanted) << place;
  }
}

TEST_F(SubsetExpertTest, OthersStandInForThoseThatAreDownUntilTheyAreBack) {
  const auto expert = Connect();
  ASSERT_TRUE(EventuallyUp(*expert, {0, 1}));
  servers_.erase(HostOf(addresses_[0]));
  EXPECT_TRUE(EventuallyUp(*expert, {1, 2}));
  servers_.erase(HostOf(addresses_[1]));
  servers_.erase(HostOf(addresses_[2]));
  EXPECT_TRUE(EventuallyUp(*expert, {3, 4}));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());

  Start(HostOf(addresses_[1]));
  EXPECT_TRUE(EventuallyUp(*expert, {1, 3}));
  Start(HostOf(addresses_[0]));
  EXPECT_TRUE(EventuallyUp(*expert, {0, 1}));
  EXPECT_TRUE(Eventually([&] { return expert->Endpoints().size() == kWanted; }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST_F(SubsetExpertTest, ADomainIsMissingOnlyWhenAllWereTried) {
  const auto expert = Connect();
  ASSERT_TRUE(EventuallyUp(*expert, {0, 1}));
  const std::string last = HostOf(addresses_.back());
  for (const std::string& address : addresses_) servers_.erase(HostOf(address));
  EXPECT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kDown; }));
  EXPECT_THAT(In(*expert, EndpointState::kDown), UnorderedElementsAreArray(addresses_));
  Start(last);
  EXPECT_TRUE(EventuallyUp(*expert, {addresses_.size() - 1}));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST_F(SubsetExpertTest, AnotherStandsInForOneThatIsEjected) {
  const std::string bad = addresses_[0];
  servers_.erase(HostOf(bad));
  broken_ = HostOf(bad);
  Start(broken_);
  const auto expert = Connect();
  ASSERT_TRUE(EventuallyUp(*expert, {0, 1}));
  EXPECT_TRUE(Eventually([&] {
    EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());  // Its failures are cured elsewhere.
    return In(*expert, EndpointState::kEjected) == std::vector<std::string>{bad};
  }));
  EXPECT_TRUE(EventuallyUp(*expert, {1, 2}));
}

TEST_F(SubsetExpertTest, ANewAddressTakesThePlaceOfOneAtMost) {
  const auto expert = Connect();
  ASSERT_TRUE(EventuallyUp(*expert, {0, 1}));
  const std::vector<std::string> before = In(*expert, EndpointState::kUp);
  std::vector<Target> without;
  for (const std::string& address : {addresses_[0], addresses_[2], addresses_[3]}) {
    without.push_back(*ParseTarget(address));
  }
  expert->SetTargets(without);
  EXPECT_TRUE(EventuallyUp(*expert, {0, 2}));
  std::vector<Target> all = without;
  all.push_back(*ParseTarget(addresses_[1]));
  expert->SetTargets(all);
  EXPECT_TRUE(EventuallyUp(*expert, {0, 1}));
}

}  // namespace
}  // namespace orchard::experts
