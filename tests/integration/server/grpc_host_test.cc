#include "server/grpc_host.h"

#include <atomic>
#include <cstdint>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "rpc/status.h"
#include "tests/integration/server/describe_service.h"
#include "tests/testing/eventually.h"
#include "tests/testing/grpc_calls.h"
#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::CheckHealth;
using ::orchard::testing::Eventually;
using ::orchard::testing::HealthWatch;
using ::orchard::testing::IsOk;
using ::orchard::testing::ListServices;
using ::orchard::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using testing::DescribeService;
using ::testing::HasSubstr;

constexpr char kClassifier[] = "orchard.v1.Classifier";

class GrpcHostTest : public ::testing::Test {
 protected:
  void Start(const GrpcLimits& limits = {}) {
    absl::StatusOr<std::unique_ptr<GrpcHost>> host = GrpcHost::Start(
        {.host = "127.0.0.1", .port = 0},
        {{.name = v1::Classifier::service_full_name(), .service = &service_}}, limits, {"apple"});
    ASSERT_THAT(host, IsOk());
    host_ = *std::move(host);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(host_->address().ToString(),
                                         grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::Classifier::NewStub(channel_);
  }

  grpc::Status Classify(size_t image_bytes, double* seen = nullptr) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + seconds(60));
    v1::ClassifyRequest request;
    request.set_image(std::string(image_bytes, 'x'));
    v1::ClassifyResponse response;
    const grpc::Status status = stub_->Classify(&context, request, &response);
    if (seen != nullptr) *seen = response.unknown_score();
    return status;
  }

  DescribeService service_;
  std::unique_ptr<GrpcHost> host_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
};

TEST_F(GrpcHostTest, HealthIsNotServingUntilWeSaySo) {
  Start();
  for (const char* name : {"", kClassifier, "apple"}) {
    EXPECT_EQ(CheckHealth(channel_, name), "NOT_SERVING") << name;
  }
  host_->SetServing(true);
  for (const char* name : {"", kClassifier, "apple"}) {
    EXPECT_EQ(CheckHealth(channel_, name), "SERVING") << name;
  }
  EXPECT_EQ(CheckHealth(channel_, "pear"), "code 5");
}

TEST_F(GrpcHostTest, AWatchSeesEveryFlip) {
  Start();
  HealthWatch watch(channel_, kClassifier);
  EXPECT_EQ(watch.Next(), "NOT_SERVING");
  host_->SetServing(true);
  EXPECT_EQ(watch.Next(), "SERVING");
  host_->SetServing(false);
  EXPECT_EQ(watch.Next(), "NOT_SERVING");
}

TEST_F(GrpcHostTest, AWatchOfAnUnknownNameStaysOpen) {
  Start();
  HealthWatch watch(channel_, "pear");
  HealthWatch known(channel_, "apple");
  EXPECT_EQ(watch.Next(), "SERVICE_UNKNOWN");
  EXPECT_EQ(known.Next(), "NOT_SERVING");
  host_->SetServing(true);
  EXPECT_EQ(known.Next(), "SERVING");
  host_->Shutdown(std::chrono::steady_clock::now() + seconds(60));
  EXPECT_EQ(watch.Next(), "") << "told nothing but the end";
}

TEST_F(GrpcHostTest, WatchersThatComeAndGoWhileHealthFlipsAreAllServed) {
  Start();
  std::atomic<int> served = 0;
  {
    std::vector<std::jthread> watchers;
    for (int i = 0; i < 4; ++i) {
      watchers.emplace_back([&] {
        for (int round = 0; round < 25; ++round) {
          HealthWatch watch(channel_, "");
          if (!watch.Next().empty()) ++served;
        }
      });
    }
    for (int i = 0; served < 100 && i < 1'000'000; ++i) host_->SetServing(i % 2 == 0);
  }
  EXPECT_EQ(served, 100);
}

TEST_F(GrpcHostTest, ReflectionListsTheServices) {
  Start();
  EXPECT_THAT(ListServices(*channel_), AllOf(HasSubstr(kClassifier), HasSubstr("grpc.health.v1")));
}

TEST_F(GrpcHostTest, APortInUseIsAnErrorThatNamesTheAddressAndTheReason) {
  Start();
  DescribeService second;
  EXPECT_THAT(GrpcHost::Start(host_->address(),
                              {{.name = v1::Classifier::service_full_name(), .service = &second}}),
              StatusIs(absl::StatusCode::kUnavailable, AllOf(HasSubstr(host_->address().ToString()),
                                                             HasSubstr("Address already in use"))));
}

/// Holds whoever calls it, on gRPC's own threads, which is forbidden.
class StuckService final : public v1::Classifier::CallbackService {
 public:
  grpc::ServerUnaryReactor* DescribeModel(grpc::CallbackServerContext* context,
                                          const v1::DescribeModelRequest*,
                                          v1::ModelDescription*) override {
    released.wait();
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  std::latch released{1};
};

TEST(LivenessTest, AProcessWhoseCallbackThreadsAreStuckIsNotAlive) {
  StuckService service;
  const auto host = GrpcHost::Start(
      {.host = "127.0.0.1", .port = 0}, {{.name = kClassifier, .service = &service}},
      {.heartbeat = milliseconds(5), .heartbeat_patience = milliseconds(1'000)});
  ASSERT_THAT(host, IsOk());
  ASSERT_TRUE(Eventually([&] { return (*host)->alive(); }));
  // Threads of the clients' own: the callback ones are all held by the server's side.
  std::vector<std::jthread> callers;
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&host] {
      const auto stub = v1::Classifier::NewStub((*host)->InProcessChannel());
      grpc::ClientContext context;
      v1::ModelDescription response;
      stub->DescribeModel(&context, {}, &response).ok();
    });
  }
  EXPECT_TRUE(Eventually([&] { return !(*host)->alive(); }));
  service.released.count_down();
  EXPECT_TRUE(Eventually([&] { return (*host)->alive(); }));
}

TEST_F(GrpcHostTest, ALimitOfConnectionsLetsOthersWaitUntilOneEnds) {
  Start({.max_connections = 1});
  ASSERT_EQ(CheckHealth(channel_, ""), "NOT_SERVING");  // Takes the only place.
  EXPECT_TRUE(Eventually([&] { return host_->accepting(); }));
  grpc::ChannelArguments other;
  other.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto second = grpc::CreateCustomChannel(host_->address().ToString(),
                                                grpc::InsecureChannelCredentials(), other);
  second->GetState(/*try_to_connect=*/true);
  EXPECT_TRUE(Eventually([&] { return !host_->accepting(); }));
  stub_.reset();
  channel_.reset();                                   // The only connection ends.
  EXPECT_EQ(CheckHealth(second, ""), "NOT_SERVING");  // Waits for the connection, as a caller may.
  EXPECT_TRUE(Eventually([&] { return host_->accepting(); }));
}

TEST_F(GrpcHostTest, AnOldConnectionIsReplacedWithoutALostCall) {
  Start({.connection_age = milliseconds(100), .connection_grace = milliseconds(5'000)});
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(Classify(1000).ok());
    return service_.connections() >= 4;
  }));
}

/// The preface of HTTP/2 and an empty SETTINGS frame: a caller as gRPC's handshake wants it.
constexpr char kHttp2Hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

TEST_F(GrpcHostTest, ACallerThatVanishedLosesItsPlace) {
  Start({.max_connections = 1,
         .keepalive_time = milliseconds(100),
         .keepalive_timeout = milliseconds(100)});
  // It never reads, so no ping is answered; its side stays open, as it does when the power goes.
  const orchard::testing::TcpConnection vanished(static_cast<std::uint16_t>(host_->address().port));
  vanished.Send(std::string(kHttp2Hello, sizeof kHttp2Hello - 1));
  ASSERT_TRUE(vanished.connected());
  EXPECT_TRUE(Classify(1000).ok());  // Waits until the only place is free.
}

TEST_F(GrpcHostTest, MoreBytesThanTheQuotaEndInAnswersAndNotInAStandstill) {
  Start({.max_message_bytes = size_t{8} << 20, .memory_bytes = size_t{32} << 20});
  std::atomic<int> refused = 0;
  // As long as the bytes of 24 pictures never come together, there is nothing to refuse.
  EXPECT_TRUE(Eventually([&] {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 24; ++i) {
      callers.emplace_back([&] {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto channel = grpc::CreateCustomChannel(
            host_->address().ToString(), grpc::InsecureChannelCredentials(), arguments);
        const auto stub = v1::Classifier::NewStub(channel);
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + seconds(60));
        v1::ClassifyRequest request;
        request.set_image(std::string(size_t{7} << 20, 'x'));
        v1::ClassifyResponse response;
        const grpc::Status status = stub->Classify(&context, request, &response);
        EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
        if (!status.ok()) ++refused;
      });
    }
    callers.clear();
    return refused > 0;
  }));
  EXPECT_TRUE(Classify(1000).ok());
}

TEST(ListenTest, AllIpv4AddressesAreNotAllIpv6Addresses) {
  DescribeService service;
  const auto host =
      GrpcHost::Start({.host = "0.0.0.0", .port = 0}, {{.name = kClassifier, .service = &service}});
  ASSERT_THAT(host, IsOk());
  const std::string port = std::to_string((*host)->address().port);
  const auto ipv4 = grpc::CreateChannel("127.0.0.1:" + port, grpc::InsecureChannelCredentials());
  EXPECT_EQ(CheckHealth(ipv4, ""), "NOT_SERVING");
  const auto ipv6 = grpc::CreateChannel("[::1]:" + port, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_EQ(grpc::health::v1::Health::NewStub(ipv6)->Check(&context, {}, &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcHostTest, OurOwnLimitIsReachedBeforeGrpcs) {
  Start({.max_message_bytes = 1 << 20});
  double seen = 0.0;
  EXPECT_TRUE(Classify((1 << 20) + 100'000, &seen).ok());
  EXPECT_EQ(seen, (1 << 20) + 100'000);
  EXPECT_EQ(Classify((2 << 20) + 1).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GrpcHostTest, ShutdownLetsCallsInFlightFinish) {
  Start();
  service_.Hold();
  grpc::Status status;
  std::jthread client([&] { status = Classify(10); });
  service_.WaitUntilHeld();
  HealthWatch watch(channel_, "");
  host_->SetServing(true);
  ASSERT_TRUE(watch.ReadUntil("SERVING"));
  bool complete = false;
  std::jthread shutdown(
      [&] { complete = host_->Shutdown(std::chrono::steady_clock::now() + seconds(60)); });
  EXPECT_EQ(watch.Next(), "NOT_SERVING") << "Shutdown has begun, and the call still waits";
  EXPECT_EQ(watch.Next(), "");
  service_.Release();
  client.join();
  shutdown.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(complete);
}

TEST_F(GrpcHostTest, AnOpenWatchDoesNotHoldTheShutdownUp) {
  Start();
  HealthWatch watch(channel_, "");
  EXPECT_EQ(watch.Next(), "NOT_SERVING");
  host_->SetServing(true);
  EXPECT_TRUE(host_->Shutdown(std::chrono::steady_clock::now() + seconds(20)));
  EXPECT_TRUE(watch.ReadUntil("NOT_SERVING")) << "the last state is told before the end";
  EXPECT_EQ(watch.Next(), "");
}

TEST_F(GrpcHostTest, ShutdownCutsOffWhatIsLateAndSaysSo) {
  Start();
  service_.Hold();
  grpc::Status status;
  std::jthread client([&] { status = Classify(10); });
  service_.WaitUntilHeld();
  EXPECT_FALSE(host_->Shutdown(std::chrono::steady_clock::now()));
  EXPECT_FALSE(host_->Shutdown(std::chrono::steady_clock::now())) << "idempotent";
  client.join();
  EXPECT_FALSE(status.ok());
}

TEST_F(GrpcHostTest, AfterShutdownNothingIsServingAgain) {
  Start();
  host_->SetServing(true);
  EXPECT_TRUE(host_->serving());
  host_->Shutdown(std::chrono::steady_clock::now() + seconds(20));
  host_->SetServing(true);
  EXPECT_FALSE(host_->serving());
}

/// Refuses everything, as a full queue does.
class FullService final : public v1::Classifier::CallbackService {
 public:
  grpc::ServerUnaryReactor* DescribeModel(grpc::CallbackServerContext* context,
                                          const v1::DescribeModelRequest*,
                                          v1::ModelDescription*) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(
        rpc::ToGrpc(absl::ResourceExhaustedError("queue full"), *context, milliseconds(25)));
    return reactor;
  }
};

TEST(PushbackTest, AFullQueueTellsTheClientHowLongToWait) {
  FullService service;
  const auto host = GrpcHost::Start({.host = "127.0.0.1", .port = 0},
                                    {{.name = kClassifier, .service = &service}});
  ASSERT_THAT(host, IsOk());
  const auto stub = v1::Classifier::NewStub((*host)->InProcessChannel());
  grpc::ClientContext context;
  v1::ModelDescription response;
  const grpc::Status status = stub->DescribeModel(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find(rpc::kRetryPushbackTrailer);
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()), "25");
}

}  // namespace
}  // namespace orchard::server
