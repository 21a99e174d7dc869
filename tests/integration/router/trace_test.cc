#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/trace_context.h"
#include "rpc/status.h"
#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// What ties a request together: ids and trace that come with a call, go to the experts, and come
/// back in trailers and errors; and what errors tell programs.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using ::testing::HasSubstr;
using testing::RecordingExperts;
using testing::RunningExperts;
using testing::RunningRouter;
using testing::SilentExperts;
using testing::WithExpertsAt;
using namespace std::chrono_literals;

constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1)); }

std::string Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

/// A traceparent that IsOk, or an empty context.
core::TraceContext Trace(const std::string& text) {
  return core::ParseTraceparent(text).value_or(core::TraceContext{});
}

TEST(TraceTest, AnAnswerTellsTheTraceAndOurPartOfIt) {
  RunningRouter router;
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "my-picture-7");
  context.AddMetadata("traceparent", kParent);
  ASSERT_THAT(router.Classify(context, Leaf()), IsOk());
  EXPECT_EQ(Trailer(context, "x-request-id"), "my-picture-7");
  const core::TraceContext ours = Trace(Trailer(context, "traceresponse"));
  EXPECT_EQ(core::TraceId(ours), core::TraceId(Trace(kParent)));
  EXPECT_NE(ours.span, Trace(kParent).span);
  EXPECT_EQ(ours.flags, 1);
}

TEST(TraceTest, WhatIsNoTraceOrIdBeginsANewOne) {
  RunningRouter router;
  std::vector<std::string> traces;
  for (const std::string given : {"", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                  "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "two words");
    if (!given.empty()) context.AddMetadata("traceparent", given);
    ASSERT_THAT(router.Classify(context, Leaf()), IsOk());
    EXPECT_EQ(Trailer(context, "x-request-id").size(), 16U);
    traces.push_back(core::TraceId(Trace(Trailer(context, "traceresponse"))));
    EXPECT_NE(traces.back(), core::TraceId({}));
  }
  std::ranges::sort(traces);
  EXPECT_EQ(std::ranges::unique(traces).begin(), traces.end());
}

TEST(TraceTest, ADescriptionTellsThemToo) {
  RunningRouter router;
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "what-is-it");
  context.AddMetadata("traceparent", kParent);
  v1::ModelDescription described;
  ASSERT_TRUE(router.stub().DescribeModel(&context, {}, &described).ok());
  EXPECT_EQ(Trailer(context, "x-request-id"), "what-is-it");
  EXPECT_EQ(core::TraceId(Trace(Trailer(context, "traceresponse"))), core::TraceId(Trace(kParent)));
}

TEST(TraceTest, ExpertsAreToldWhoWaitsForEachRow) {
  const RecordingExperts experts;
  RunningRouter router(WithExpertsAt(experts.address()));
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "my-picture-7");
  context.AddMetadata("traceparent", kParent);
  EXPECT_FALSE(router.Classify(context, Leaf()).ok());  // They answer nobody.
  const v1::ScoreRequest asked = experts.First();
  ASSERT_EQ(asked.callers_size(), 1);
  EXPECT_EQ(asked.callers(0).request_id(), "my-picture-7");
  EXPECT_EQ(asked.callers(0).traceparent(), Trailer(context, "traceresponse"));
}

/// What an error tells programs.
struct Told {
  grpc::Status status;
  rpc::ErrorInfo info;
  std::string pushback;
  std::string trace_id;  // of the trailer
};

Told ErrorOf(RunningRouter& router, const std::string& image,
             const v1::ClassifyOptions& options = {}) {
  grpc::ClientContext context;
  v1::ClassifyRequest request;
  request.set_image(image);
  *request.mutable_options() = options;
  v1::ClassifyResponse response;
  const grpc::Status status = router.stub().Classify(&context, request, &response);
  return {status, rpc::ErrorInfoOf(rpc::FromGrpc(status)).value_or(rpc::ErrorInfo{}),
          Trailer(context, rpc::kRetryPushbackTrailer),
          core::TraceId(Trace(Trailer(context, "traceresponse")))};
}

TEST(ErrorTest, OfTheCallerIsInvalidAndCarriesTheIds) {
  RunningRouter router;
  const Told told = ErrorOf(router, "not a picture");
  EXPECT_EQ(told.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(told.info.reason, "INVALID");
  EXPECT_EQ(told.info.metadata.at("trace_id"), told.trace_id);
  EXPECT_EQ(told.info.metadata.at("request_id").size(), 16U);
  EXPECT_EQ(told.pushback, "");
}

TEST(ErrorTest, WithoutAnExpertSaysWhoseAndNotToAskAgain) {
  const auto domains = testing::TinyModel().domains();
  const RunningExperts experts({domains[0]});
  Engine::Config config;
  config.experts = {domains[0] + "=" + experts.address()};
  RunningRouter router(config);
  v1::ClassifyOptions pinned;
  pinned.set_domain(domains[1]);
  const Told told = ErrorOf(router, Leaf(), pinned);
  EXPECT_EQ(told.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(told.info.reason, "NO_EXPERT");
  EXPECT_EQ(told.info.metadata.at("domains"), domains[1]);
  EXPECT_EQ(told.info.metadata.at("trace_id"), told.trace_id);
  EXPECT_EQ(told.pushback, "-1");
}

TEST(ErrorTest, OfADeadlineSaysSo) {
  const SilentExperts experts({});
  Engine::Config config = WithExpertsAt(experts.address());
  config.pipeline.default_deadline = 300ms;
  RunningRouter router(config);
  EXPECT_EQ(ErrorOf(router, Leaf()).info.reason, "DEADLINE");
}

TEST(ErrorTest, OfAStreamsPictureTellsTheSame) {
  RunningRouter router;
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kParent);
  const auto stream = router.stub().ClassifyStream(&context);
  v1::ClassifyStreamRequest request;
  request.set_id("a");
  request.mutable_request()->set_image("not a picture");
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.error().reason(), "INVALID");
  EXPECT_EQ(answer.error().trace_id(), core::TraceId(Trace(kParent)));
  EXPECT_EQ(answer.error().retry_pushback_ms(), 0);
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(core::TraceId(Trace(Trailer(context, "traceresponse"))), core::TraceId(Trace(kParent)));
}

TEST(ErrorTest, OfAStreamThatIsCutIsDraining) {
  RunningRouter router;
  router.service().EndStreams();
  grpc::ClientContext context;
  const auto stream = router.stub().ClassifyStream(&context);
  v1::ClassifyStreamResponse answer;
  EXPECT_FALSE(stream->Read(&answer));
  const auto info = rpc::ErrorInfoOf(rpc::FromGrpc(stream->Finish()));
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason, "DRAINING");
}

}  // namespace
}  // namespace orchard::router
