// Endpoints behind a name that come and go, and what they tell of themselves.

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
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
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::StatusIs;
using testing::WholeBatch;

/// A name server of the test.
class Names {
 public:
  Resolver::LookUp LookUp() {
    return [this](const std::string& host) -> absl::StatusOr<HostAddresses> {
      const std::lock_guard lock(mutex_);
      ++look_ups_;
      const auto found = hosts_.find(host);
      if (found == hosts_.end()) return absl::UnavailableError("no such host: " + host);
      return found->second;
    };
  }
  void Set(const std::string& host, HostAddresses addresses) {
    const std::lock_guard lock(mutex_);
    hosts_[host] = std::move(addresses);
  }
  void Remove(const std::string& host) {
    const std::lock_guard lock(mutex_);
    hosts_.erase(host);
  }
  int look_ups() {
    const std::lock_guard lock(mutex_);
    return look_ups_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, HostAddresses> hosts_;
  int look_ups_ = 0;
};

std::vector<std::string> AddressesOf(const RemoteExpert& expert) {
  std::vector<std::string> addresses;
  for (const auto& endpoint : expert.Endpoints()) addresses.push_back(endpoint.address);
  return addresses;
}

class NamedExpertTest : public ::testing::Test {
 protected:
  /// Servers on several addresses of loopback and one port, as the pods behind a name are.
  void SetUp() override {
    first_ = std::make_unique<ExpertServer>();
    const std::uint16_t port = first_->address().port;
    second_ = std::make_unique<ExpertServer>(ExpertServer::Options{.listen = {"127.0.0.2", port}});
    target_ = "dns:///apple.test:" + std::to_string(port);
    suffix_ = ":" + std::to_string(port);
  }

  std::unique_ptr<RemoteExpert> Named(RemoteExpertOptions options = {}) {
    options.resolver = &resolver_;
    return Remote({target_}, std::move(options));
  }

  Names names_;
  Resolver resolver_{{.interval = 20ms, .hurry = 5ms, .look_up = names_.LookUp()}};
  std::unique_ptr<ExpertServer> first_, second_;
  std::string target_, suffix_;
};

TEST_F(NamedExpertTest, EveryAddressBehindANameIsAnEndpoint) {
  names_.Set("apple.test", {"127.0.0.1", "127.0.0.2"});
  const auto expert = Named();
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  EXPECT_THAT(AddressesOf(*expert), ElementsAre("127.0.0.1" + suffix_, "127.0.0.2" + suffix_));
  for (unsigned i = 0; i < 40; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_GT(RowsOf(*first_), 0);
  EXPECT_GT(RowsOf(*second_), 0);
}

TEST_F(NamedExpertTest, AddressesComeAndGoAndAFailedLookUpKeepsThem) {
  names_.Set("apple.test", {"127.0.0.1"});
  std::atomic<int> failed = 0;
  const auto expert =
      Named({.events = {.on_look_up_failed = [&](const std::string&, const auto&) { ++failed; }}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  names_.Set("apple.test", {"127.0.0.1", "127.0.0.2"});
  ASSERT_TRUE(Eventually([&] { return AddressesOf(*expert).size() == 2; }));
  names_.Remove("apple.test");
  ASSERT_TRUE(Eventually([&] { return failed >= 2; }));
  EXPECT_EQ(AddressesOf(*expert).size(), 2U);
  names_.Set("apple.test", {"127.0.0.2"});
  ASSERT_TRUE(Eventually([&] { return AddressesOf(*expert).size() == 1; }));
  const double rows = RowsOf(*first_);
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(RowsOf(*first_), rows);
}

TEST_F(NamedExpertTest, AnAddressThatVanishesFinishesWhatItHas) {
  std::latch started{1};
  std::latch release{1};
  ExpertServer busy({.scorer =
                         [&](std::span<const float> features, size_t rows) {
                           started.count_down();
                           release.wait();
                           return SampleScores(features, rows);
                         },
                     .listen = {"127.0.0.3", first_->address().port}});
  names_.Set("apple.test", {"127.0.0.3"});
  const auto expert = Named();
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  auto answer = Ask(*expert, OneRow(), 10min);
  started.wait();
  names_.Set("apple.test", {"127.0.0.1"});
  ASSERT_TRUE(Eventually(
      [&] { return AddressesOf(*expert) == std::vector<std::string>{"127.0.0.1" + suffix_}; }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  release.count_down();
  EXPECT_THAT(answer.get(), IsOk());
}

TEST_F(NamedExpertTest, IsLookedUpAtOnceWhenAnEndpointIsLost) {
  Resolver patient({.interval = 1h, .hurry = 1ms, .look_up = names_.LookUp()});
  names_.Set("apple.test", {"127.0.0.1"});
  RemoteExpertOptions options;
  options.resolver = &patient;
  const auto expert = Remote({target_}, std::move(options));
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  names_.Set("apple.test", {"127.0.0.2"});
  first_->Stop();
  ASSERT_TRUE(Eventually(
      [&] { return AddressesOf(*expert) == std::vector<std::string>{"127.0.0.2" + suffix_}; }));
  EXPECT_TRUE(Eventually([&] { return Ask(*expert, OneRow()).get().ok(); }));
}

TEST_F(NamedExpertTest, NewTargetsKeepTheEndpointsThatStay) {
  const std::string kept = first_->address().ToString();
  const auto expert = Remote({kept});
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return !expert->Endpoints()[0].part_version.empty(); }));
  expert->SetTargets({*ParseTarget(second_->address().ToString()), *ParseTarget(kept)});
  ASSERT_EQ(expert->Endpoints().size(), 2U);
  EXPECT_EQ(expert->Endpoints()[1].part_version, "7");  // It was not connected anew.
  expert->SetTargets({});
  EXPECT_EQ(expert->Unavailable(), MissingReason::kDown);
  EXPECT_THAT(Ask(*expert, OneRow()).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("it has none")));
  expert->SetTargets({*ParseTarget(kept)});
  EXPECT_TRUE(Eventually([&] { return Ask(*expert, OneRow()).get().ok(); }));
}

bool LoopbackHasIpv6() {
  const int socket = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return errno != EAFNOSUPPORT;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound = bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const bool has = bound || errno != EADDRNOTAVAIL;
  close(socket);
  return has;
}

TEST(Ipv6Test, AnExpertIsFoundByItsAddressAndBehindAName) {
  if (!LoopbackHasIpv6()) GTEST_SKIP() << "this machine's loopback has no IPv6";
  ExpertServer server({.listen = {"::1", 0}});
  const std::string address = "[::1]:" + std::to_string(server.address().port);
  Names names;
  names.Set("apple.test", {"::1"});
  Resolver resolver{{.interval = 20ms, .hurry = 5ms, .look_up = names.LookUp()}};
  int asked = 0;
  for (const std::string& target :
       {address, "dns:///apple.test:" + std::to_string(server.address().port)}) {
    const auto expert = Remote({target}, {.resolver = &resolver});
    ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
    EXPECT_THAT(AddressesOf(*expert), ElementsAre(address));
    const FullyScored scored = AskFully(*expert, OneRow(), Within(20s)).get();
    EXPECT_THAT(scored.scores, IsOk());
    ASSERT_EQ(scored.attempts.size(), 1U);
    EXPECT_EQ(scored.attempts[0].endpoint, address);
    EXPECT_EQ(RowsOf(server), ++asked);
  }
}

TEST(EndpointsTest, TellWhatTheyServe) {
  ExpertServer server;
  const auto expert = Remote({server.address().ToString()});
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return !expert->Endpoints()[0].encoder_fingerprint.empty(); }));
  const RemoteExpert::EndpointInfo endpoint = expert->Endpoints()[0];
  EXPECT_EQ(endpoint.address, server.address().ToString());
  EXPECT_EQ(endpoint.state, EndpointState::kUp);
  EXPECT_EQ(endpoint.part_version, "7");
  EXPECT_EQ(endpoint.encoder_fingerprint, testing::kSampleFingerprint);
  EXPECT_EQ(endpoint.in_flight, 0U);
}

TEST(EndpointsTest, AnswersOfMoreThanFourMebibytesArrive) {
  ExpertSpec spec = SampleSpec();
  spec.classes.assign(6'000, "");
  for (size_t i = 0; i < spec.classes.size(); ++i) spec.classes[i] = std::to_string(i);
  spec.part_digest.clear();
  ExpertServer server({.spec = spec, .scorer = [](std::span<const float>, size_t rows) {
                         return absl::StatusOr<model::ScoreBatch>(model::ScoreBatch{
                             .rows = rows,
                             .classes = 6'000,
                             .log_probabilities = std::vector<float>(rows * 6'000, -8.7F),
                             .energy = std::vector<float>(rows, 0.0F)});
                       }});
  const auto expert = *RemoteExpert::Create(spec, {server.address().ToString()}, Quick());
  EXPECT_THAT(Ask(*expert, WholeBatch(SampleFeatures(250))).get(), IsOk());
}

}  // namespace
}  // namespace orchard::experts
