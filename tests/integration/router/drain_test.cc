#include <chrono>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/eventually.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// How calls end that wait for an expert which never answers: when their caller goes, when the
/// server does.

namespace orchard::router {
namespace {

using orchard::testing::Eventually;
using orchard::testing::IsOk;
using ::testing::Not;
using testing::RunningRouter;
using testing::SilentExperts;
using testing::WithExpertsAt;
using namespace std::chrono_literals;

constexpr std::chrono::seconds kPatience{60};  // Far beyond what a sound router needs.

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(260, 260, 1)); }

/// A call that waits for an expert, made from a thread of its own.
class StuckCall {
 public:
  StuckCall(RunningRouter& router, const SilentExperts& experts) {
    context_.set_deadline(std::chrono::system_clock::now() + 1h);
    status_ =
        std::async(std::launch::async, [&] { return router.Classify(context_, Leaf()).status(); });
    experts.WaitForCalls(1);
  }

  void Cancel() { context_.TryCancel(); }
  absl::Status Wait() { return status_.get(); }

 private:
  grpc::ClientContext context_;
  std::future<absl::Status> status_;
};

TEST(StuckExpertTest, ACancelledCallGivesItsPlaceBackAtOnce) {
  const SilentExperts experts({});
  Engine::Config config = WithExpertsAt(experts.address());
  config.pipeline.in_flight = 1;
  RunningRouter router(config);
  StuckCall call(router, experts);
  EXPECT_EQ(router.engine().pipeline().Load().in_flight, 1);
  call.Cancel();
  EXPECT_EQ(call.Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(Eventually([&] { return router.engine().pipeline().Load().in_flight == 0; }));
}

TEST(StuckExpertTest, ACutDrainEndsTheCallAndTheRouterWithIt) {
  const SilentExperts experts({});
  const auto begin = std::chrono::steady_clock::now();
  {
    RunningRouter router(WithExpertsAt(experts.address()));
    StuckCall call(router, experts);
    EXPECT_FALSE(router.host().Shutdown(std::chrono::steady_clock::now()));
    EXPECT_THAT(call.Wait(), Not(IsOk()));
    EXPECT_EQ(router.engine().pipeline().Load().in_flight, 0);
  }  // Waits for no expert.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST(StuckExpertTest, PicturesOfAStreamAreGivenUpWithIt) {
  const SilentExperts experts({});
  RunningRouter router(WithExpertsAt(experts.address()));
  grpc::ClientContext context;
  const auto stream = router.stub().ClassifyStream(&context);
  v1::ClassifyStreamRequest request;
  request.mutable_request()->set_image(Leaf());
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Write(request));
  experts.WaitForCalls(1);
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(router.host().Shutdown(std::chrono::steady_clock::now() + kPatience));
  EXPECT_EQ(router.engine().pipeline().Load().in_flight, 0);
}

// Streams: an open one must not hold the shutdown up.

using Stream = grpc::ClientReaderWriter<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>;

v1::ClassifyStreamRequest Request(const std::string& id) {
  v1::ClassifyStreamRequest request;
  request.set_id(id);
  request.mutable_request()->set_image(Leaf());
  return request;
}

void ExpectCut(Stream& stream) {
  v1::ClassifyStreamResponse answer;
  EXPECT_FALSE(stream.Read(&answer));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("draining"));
}

TEST(StreamDrainTest, AnIdleStreamEndsAtOnce) {
  RunningRouter router;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = router.stub().ClassifyStream(&context);
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream->Write(Request("a")));
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_TRUE(router.host().Shutdown(std::chrono::steady_clock::now() + 10min));
  ExpectCut(*stream);
}

TEST(StreamDrainTest, AStreamThatComesWhileStreamsEndIsToldSo) {
  RunningRouter router;
  router.service().EndStreams();
  grpc::ClientContext context;
  ExpectCut(*router.stub().ClassifyStream(&context));
}

TEST(StreamDrainTest, WhatIsInProgressIsAnsweredAndNoMoreIsRead) {
  const SilentExperts experts({});
  RunningRouter router(WithExpertsAt(experts.address()));
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = router.stub().ClassifyStream(&context);
  ASSERT_TRUE(stream->Write(Request("a")));
  experts.WaitForCalls(1);
  router.service().EndStreams();
  ASSERT_TRUE(stream->Write(Request("late")));
  router.engine().models().first()->fleet().Stop();
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.id(), "a");
  ExpectCut(*stream);
}

}  // namespace
}  // namespace orchard::router
