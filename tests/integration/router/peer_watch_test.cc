#include "router/peer_watch.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/tls.h"
#include "server/grpc_host.h"
#include "tests/integration/router/scaling_router.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

/// Several routers: the one that is asked tells what all need.

namespace orchard::router {
namespace {

using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::IsOkAndHolds;
using orchard::testing::StatusIs;
using testing::About;
using testing::ActiveStream;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Optional;
using testing::ScalerClient;
using testing::ScalingRouter;
using namespace std::chrono_literals;

constexpr size_t kApple = 0;
constexpr int kOneReplica = 500;  // pictures in five seconds, 7 ms each, 0.7 busy

TEST(PeerWatchTest, WhoIsAskedAddsUpFromTheFirstAnswerOn) {
  ScalingRouter other;
  ScalingRouter asked({.peers = other.address()});
  other.Want(kApple, 2 * kOneReplica);
  asked.Want(kApple, kOneReplica);
  ScalerClient client = asked.Client();
  EXPECT_THAT(client.Desired("apple"), DoubleNear(3.0, 1e-9)) << "it waits for its peers' word";
  EXPECT_THAT(client.IsActive(About("rice")), IsOkAndHolds(false));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 1));
}

TEST(PeerWatchTest, OfSeveralModelsEachIsAddedUpByItsName) {
  const std::vector<std::string> domains = {"apple", "rice"};
  ScalingRouter other({.model = "signs", .more_models = {{"tiny", domains}}});
  ScalingRouter asked({.more_models = {{"signs", domains}}, .peers = other.address()});
  other.Want(kApple, kOneReplica, /*model=*/0);      // of signs, there the first
  other.Want(kApple, 2 * kOneReplica, /*model=*/1);  // of tiny
  ScalerClient client = asked.Client();
  EXPECT_THAT(client.Desired("apple"), DoubleNear(2.0, 1e-9));
  const auto signs = client.GetMetric(About({{"domain", "apple"}, {"model", "signs"}}));
  ASSERT_THAT(signs, IsOk());
  EXPECT_NEAR(signs->metricvaluefloat(), 1.0, 1e-9);
}

TEST(PeerWatchTest, APeersFirstPictureIsPushed) {
  ScalingRouter other;
  ScalingRouter asked({.peers = other.address()});
  ScalerClient client = asked.Client();
  ActiveStream stream(client, About("apple"));
  EXPECT_THAT(stream.Next(), Optional(false));
  other.Want(kApple);
  EXPECT_THAT(stream.Next(), Optional(true));
}

TEST(PeerWatchTest, APeerThatGoesCountsNoLonger) {
  auto other = std::make_unique<ScalingRouter>();
  ScalingRouter asked({.peers = other->address(), .patience = 500ms});
  other->Want(kApple, kOneReplica);
  ScalerClient client = asked.Client();
  EXPECT_THAT(client.Desired("apple"), DoubleNear(1.0, 1e-9));
  other.reset();
  EXPECT_TRUE(asked.PeersBecome(PeerState::kDown, 1));
  EXPECT_TRUE(Eventually([&] { return client.Desired("apple") == 0.0; }));
  EXPECT_THAT(client.IsActive(About("apple")), IsOkAndHolds(false));
}

TEST(PeerWatchTest, APeerThatComesBackCountsAgain) {
  auto other = std::make_unique<ScalingRouter>();
  const server::Address address{"127.0.0.1", static_cast<std::uint16_t>(other->port())};
  ScalingRouter asked({.peers = other->address(), .patience = 500ms});
  ScalerClient client = asked.Client();
  EXPECT_EQ(client.Desired("apple"), 0.0);
  other.reset();
  EXPECT_TRUE(asked.PeersBecome(PeerState::kDown, 1));
  other = std::make_unique<ScalingRouter>(ScalingRouter::Options{.listen = address});
  other->Want(kApple, kOneReplica);
  EXPECT_TRUE(Eventually([&] { return client.Desired("apple") > 0.99; }));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 1));
}

TEST(PeerWatchTest, APeerThatCantBeReachedFailsNoCall) {
  std::string nobody;
  {
    ScalingRouter gone;
    nobody = gone.address();
  }
  ScalingRouter asked({.peers = nobody});
  asked.Want(kApple, kOneReplica);
  ScalerClient client = asked.Client();
  EXPECT_THAT(client.Desired("apple"), DoubleNear(1.0, 1e-9));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kDown, 1));
}

/// Takes the call and says nothing.
class MuteDemand final : public v1::Demand::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::DemandReport>* Watch(grpc::CallbackServerContext*,
                                                    const v1::WatchDemandRequest*) override {
    struct Silence final : grpc::ServerWriteReactor<v1::DemandReport> {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    ++calls;
    return new Silence();
  }

  std::atomic<int> calls = 0;
};

TEST(PeerWatchTest, APeerThatSaysNothingIsHungUpOnAndAskedAgain) {
  MuteDemand mute;
  const auto host =
      *server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Demand::service_full_name(), &mute}});
  ScalingRouter asked({.peers = host->address().ToString(), .patience = 200ms});
  ScalerClient client = asked.Client();
  EXPECT_EQ(client.Desired("apple"), 0.0) << "without its word, after a while";
  EXPECT_TRUE(asked.PeersBecome(PeerState::kDown, 1));
  EXPECT_TRUE(Eventually([&] { return mute.calls >= 2; }));
}

TEST(PeerWatchTest, ARouterOfAnotherModelIsNoPeer) {
  ScalingRouter other({.model = "huge"});
  ScalingRouter asked({.peers = other.address()});
  other.Want(kApple, kOneReplica);
  EXPECT_EQ(asked.Client().Desired("apple"), 0.0);
  EXPECT_TRUE(asked.PeersBecome(PeerState::kForeign, 1));
}

TEST(PeerWatchTest, BehindANameItFindsItsPeersAndItself) {
  ScalingRouter first;
  std::atomic<bool> grown = false;
  ScalingRouter::Options options;
  options.listen = {"127.0.0.2", static_cast<std::uint16_t>(first.port())};
  options.peers = "dns:///routers:" + std::to_string(first.port());
  options.look_up = [&](const std::string& host) -> absl::StatusOr<experts::HostAddresses> {
    EXPECT_EQ(host, "routers");
    if (!grown) return experts::HostAddresses{"127.0.0.2"};
    return experts::HostAddresses{"127.0.0.1", "127.0.0.2"};
  };
  ScalingRouter asked(options);
  first.Want(kApple, kOneReplica);
  asked.Want(kApple, kOneReplica);
  ScalerClient client = asked.Client();
  EXPECT_THAT(client.Desired("apple"), DoubleNear(1.0, 1e-9));
  EXPECT_THAT(asked.peers().Counts(), Each(0U)) << "itself is no peer";
  grown = true;
  EXPECT_TRUE(Eventually([&] { return client.Desired("apple") > 1.99; }));
  EXPECT_THAT(client.Desired("apple"), DoubleNear(2.0, 1e-9));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 1));
}

TEST(PeerWatchTest, NobodyIsWatchedWhileNobodyAsks) {
  ScalingRouter other;
  ScalingRouter asked({.peers = other.address(), .keep = 300ms});
  EXPECT_THAT(asked.peers().Counts(), Each(0U));
  EXPECT_EQ(asked.Client().Desired("apple"), 0.0);
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 1));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 0));
  EXPECT_THAT(asked.peers().Counts(), Each(0U));
  ScalerClient client = asked.Client();
  ActiveStream stream(client, About("apple"));
  EXPECT_TRUE(asked.PeersBecome(PeerState::kUp, 1));
}

TEST(PeerWatchTest, WatchersAreBoundedAndToldThatTheServerGoes) {
  ScalingRouter router;
  const auto stub = v1::Demand::NewStub(
      grpc::CreateChannel(router.address(), grpc::InsecureChannelCredentials()));
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::DemandReport>>> readers;
  v1::DemandReport report;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub->Watch(contexts.back().get(), {}));
    EXPECT_EQ(readers.back()->Read(&report), i < 2) << i;
  }
  EXPECT_EQ(report.instance(), router.board().instance());
  EXPECT_EQ(report.domains(1).domain(), "rice");
  EXPECT_THAT(rpc::FromGrpc(readers[2]->Finish()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2")));
  router.Shutdown();
  for (int i = 0; i < 2; ++i) {
    while (readers[static_cast<size_t>(i)]->Read(&report)) {
    }
    EXPECT_THAT(rpc::FromGrpc(readers[static_cast<size_t>(i)]->Finish()),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  }
}

TEST(PeerWatchTest, PeersKnowEachOtherByCertificatesAndTheNameOfTheTarget) {
  const orchard::testing::TempDir dir;
  orchard::testing::TestCa ca(dir.path());
  const auto router = ca.Issue(dir.path(), "router", {.names = "DNS:routers.farm"});
  const auto source =
      *rpc::TlsSource::Load({.ca = ca.cert(), .cert = router.cert, .key = router.key});
  ScalingRouter other({.credentials = source->ServerCredentials({})});
  ScalingRouter::Options options;
  options.peers = "dns:///routers.farm:" + std::to_string(other.port());
  options.look_up = [](const std::string&) { return experts::HostAddresses{"127.0.0.1"}; };
  options.to_peers = source->ChannelCredentials();
  ScalingRouter asked(options);
  other.Want(kApple, kOneReplica);
  EXPECT_THAT(asked.Client().Desired("apple"), DoubleNear(1.0, 1e-9));

  options.peers = "dns:///somebody.else:" + std::to_string(other.port());
  ScalingRouter mistaken(options);
  EXPECT_EQ(mistaken.Client().Desired("apple"), 0.0);
  EXPECT_TRUE(mistaken.PeersBecome(PeerState::kDown, 1));
}

}  // namespace
}  // namespace orchard::router
