/// Who yields to whom, as callers see it on the wire.

#include <chrono>
#include <filesystem>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "router/refusal.h"
#include "rpc/status.h"
#include "rpc/tls.h"
#include "tests/integration/router/running_router.h"
#include "tests/testing/eventually.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::router {
namespace {

using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::RunningRouter;
using namespace std::chrono_literals;

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1)); }

/// A Classify call on a thread of its own.
class Call {
 public:
  Call(v1::Classifier::Stub& stub, const std::string& priority) {
    context_.AddMetadata("x-priority", priority);
    context_.set_deadline(std::chrono::system_clock::now() + 60s);
    status_ = std::async(std::launch::async, [this, &stub] {
      v1::ClassifyRequest request;
      request.set_image(Leaf());
      v1::ClassifyResponse response;
      return rpc::FromGrpc(stub.Classify(&context_, request, &response));
    });
  }
  absl::Status Wait() { return status_.get(); }
  bool HasPushback() const {
    return context_.GetServerTrailingMetadata().count("grpc-retry-pushback-ms") > 0;
  }

 private:
  grpc::ClientContext context_;
  std::future<absl::Status> status_;
};

void AwaitWaiting(RunningRouter& router, size_t waiting) {
  ASSERT_TRUE(
      Eventually([&] { return router.engine().pipeline().Load().decode_waiting == waiting; }));
}

Engine::Config TwoPlaces() {
  Engine::Config config;
  config.pipeline.in_flight = 2;
  return config;
}

/// Two calls that have come one after the other, and wait.
struct TwoThatWait {
  TwoThatWait(RunningRouter& router, v1::Classifier::Stub& stub, const std::string& priority)
      : first(stub, priority) {
    AwaitWaiting(router, 1);
    second.emplace(stub, priority);
    AwaitWaiting(router, 2);
  }

  Call first;
  std::optional<Call> second;
};

/// Keeps the one decoder of a router busy until its end, so that what comes has to wait.
class BusyDecoder {
 public:
  explicit BusyDecoder(RunningRouter& router) {
    router.engine().pipeline().Start(
        {.model = router.engine().models().first(), .image = "not a picture"},
        [state = state_](const auto&) {
          state->decoding.count_down();
          state->release.wait();
        });
    state_->decoding.wait();
  }
  ~BusyDecoder() { state_->release.count_down(); }
  BusyDecoder(const BusyDecoder&) = delete;
  BusyDecoder& operator=(const BusyDecoder&) = delete;

 private:
  struct State {
    std::latch decoding{1}, release{1};
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();  // The decoder's as well.
};

TEST(AdmissionTest, BatchYieldsToInteractive) {
  RunningRouter router(TwoPlaces());
  auto busy = std::make_unique<BusyDecoder>(router);
  TwoThatWait two(router, router.stub(), "batch");
  Call urgent(router.stub(), "interactive");
  EXPECT_THAT(two.second->Wait(), StatusIs(absl::StatusCode::kResourceExhausted,
                                           AllOf(HasSubstr("limit of 2"), HasSubstr("yield"))));
  EXPECT_TRUE(two.second->HasPushback());
  busy.reset();
  EXPECT_THAT(urgent.Wait(), IsOk());
  EXPECT_THAT(two.first.Wait(), IsOk());
}

/// Callers of one address, who are told by what their certificates say.
class CallersTest : public ::testing::Test {
 protected:
  void Start(const std::filesystem::path& client_ca) {
    const auto own = ca_.Issue(dir_.path(), "router");
    const auto source = rpc::TlsSource::Load({.ca = client_ca, .cert = own.cert, .key = own.key});
    ASSERT_THAT(source, IsOk());
    router_ = std::make_unique<RunningRouter>(TwoPlaces(), 16, (*source)->ServerCredentials({}));
    busy_ = std::make_unique<BusyDecoder>(*router_);
  }

  /// A connection of its own, with a certificate for `name`.
  std::unique_ptr<v1::Classifier::Stub> Connect(const std::string& name) {
    const auto own = ca_.Issue(dir_.path(), name, {.names = "DNS:" + name});
    const auto credentials =
        rpc::ChannelCredentialsFrom({.ca = ca_.cert(), .cert = own.cert, .key = own.key});
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::Classifier::NewStub(
        grpc::CreateCustomChannel(router_->address(), *credentials, arguments));
  }

  const orchard::testing::TempDir dir_;
  orchard::testing::TestCa ca_{dir_.path()};
  std::unique_ptr<RunningRouter> router_;
  std::unique_ptr<BusyDecoder> busy_;
};

TEST_F(CallersTest, AnotherNameGetsAPlaceOfTheOneWhoHasThemAll) {
  Start(ca_.cert());
  const auto greedy = Connect("greedy.farm");
  TwoThatWait two(*router_, *greedy, "interactive");
  const auto modest = Connect("modest.farm");
  Call other(*modest, "interactive");
  const absl::Status evicted = two.second->Wait();
  EXPECT_THAT(evicted, StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  EXPECT_EQ(ShedBy(evicted), Shed::kCallerShare);
  busy_.reset();
  EXPECT_THAT(two.first.Wait(), IsOk());
  EXPECT_THAT(other.Wait(), IsOk());
}

/// One who has all places has called from another connection: his new call is refused, and those
/// that wait are answered.
void ExpectOneCaller(RunningRouter& router, v1::Classifier::Stub& here, v1::Classifier::Stub& there,
                     std::unique_ptr<BusyDecoder>& busy) {
  TwoThatWait two(router, here, "interactive");
  Call third(there, "interactive");
  EXPECT_THAT(third.Wait(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 2")));
  busy.reset();
  EXPECT_THAT(two.first.Wait(), IsOk());
  EXPECT_THAT(two.second->Wait(), IsOk());
}

TEST_F(CallersTest, ANameIsOneCallerOverAllItsConnections) {
  Start(ca_.cert());
  ExpectOneCaller(*router_, *Connect("greedy.farm"), *Connect("greedy.farm"), busy_);
}

TEST_F(CallersTest, NamesThatNobodyAskedForAreNoNames) {
  Start(/*client_ca=*/{});
  ExpectOneCaller(*router_, *Connect("greedy.farm"), *Connect("modest.farm"), busy_);
}

/// A Classify call as only its parts on the wire: it begins, and sends what it is told to.
class BareCall {
 public:
  explicit BareCall(RunningRouter& router)
      : stub_(grpc::CreateChannel(router.address(), grpc::InsecureChannelCredentials())) {
    context_.set_deadline(std::chrono::system_clock::now() + 60s);
    call_ = stub_.PrepareCall(&context_, "/orchard.v1.Classifier/Classify", &done_);
    Do([this](void* tag) { call_->StartCall(tag); });
  }

  void Send(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    Do([&](void* tag) { call_->Write(grpc::ByteBuffer(&slice, 1), tag); });
  }
  void SendNoMore() {
    Do([this](void* tag) { call_->WritesDone(tag); });
  }
  void Cancel() { context_.TryCancel(); }
  absl::Status Wait() {
    grpc::Status status;
    Do([&](void* tag) { call_->Finish(&status, tag); });
    return rpc::FromGrpc(status);
  }

 private:
  template <typename Step>
  void Do(const Step& step) {
    step(this);
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(done_.Next(&tag, &ok));
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue done_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST(AdmissionTest, WhoIsRefusedIsToldWithoutHavingSentThePicture) {
  RunningRouter router(TwoPlaces());
  auto busy = std::make_unique<BusyDecoder>(router);
  TwoThatWait two(router, router.stub(), "interactive");
  EXPECT_THAT(BareCall(router).Wait(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 2")));
  const std::string metrics = prometheus::TextSerializer().Serialize(router.registry().Collect());
  EXPECT_THAT(metrics, HasSubstr("orchard_shed_total{reason=\"in_flight\"} 1"));
  busy.reset();
  EXPECT_THAT(two.first.Wait(), IsOk());
  EXPECT_THAT(two.second->Wait(), IsOk());
}

/// Whether that many Classify calls have ended so. Those that brought no whole request are counted
/// when they are over, and their callers may know before.
bool Counted(RunningRouter& router, const std::string& code, int calls) {
  const std::string want = "orchard_requests_total{code=\"" + code + "\",method=\"Classify\"} " +
                           std::to_string(calls) + "\n";
  return prometheus::TextSerializer().Serialize(router.registry().Collect()).find(want) !=
         std::string::npos;
}

TEST(AdmissionTest, ACallWithoutARequestIsNamedAndCounted) {
  RunningRouter router;
  BareCall nothing(router);
  nothing.SendNoMore();
  EXPECT_THAT(nothing.Wait(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ClassifyRequest")));
  BareCall garbage(router);
  garbage.Send("\xff\xff\xff");
  EXPECT_THAT(garbage.Wait(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ClassifyRequest")));
  EXPECT_TRUE(Eventually([&] { return Counted(router, "INVALID_ARGUMENT", 2); }));
  EXPECT_TRUE(Counted(router, "CANCELLED", 0));
  BareCall large(router);
  const size_t limit = router.engine().pipeline().settings().limits.max_bytes;
  large.Send(std::string(limit + (2U << 20U), 'x'));
  EXPECT_THAT(large.Wait(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than max")));
  EXPECT_TRUE(Eventually([&] { return Counted(router, "CANCELLED", 1); }));
  EXPECT_TRUE(Counted(router, "INVALID_ARGUMENT", 2));
}

TEST(AdmissionTest, ACallerThatGoesBeforeItsRequestHasComeIsCounted) {
  RunningRouter router;
  EXPECT_TRUE(Eventually([&] {  // One that is gone before the router has seen it is not.
    BareCall call(router);
    call.Cancel();
    EXPECT_EQ(call.Wait().code(), absl::StatusCode::kCancelled);
    return !Counted(router, "CANCELLED", 0);
  }));
  EXPECT_TRUE(Counted(router, "INVALID_ARGUMENT", 0));
}

TEST(AdmissionTest, AnUnknownPriorityIsNamed) {
  RunningRouter router;
  Call call(router.stub(), "bacth");
  EXPECT_THAT(call.Wait(), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("\"bacth\""), HasSubstr("interactive"))));
}

}  // namespace
}  // namespace orchard::router
