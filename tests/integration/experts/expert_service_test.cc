#include "experts/expert_service.h"

#include <atomic>
#include <cmath>
#include <future>
#include <latch>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "experts/metadata.h"
#include "experts/wire.h"
#include "rpc/status.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::StatusIs;
using testing::WholeBatch;

v1::ScoreRequest Request(size_t rows, unsigned seed = 0) {
  v1::ScoreRequest request;
  EXPECT_THAT(WriteRequest(WholeBatch(SampleFeatures(rows, seed)), SampleSpec(), v1::FP32, request),
              IsOk());
  return request;
}

struct Reply {
  absl::Status status;
  v1::ScoreResponse response;
  std::map<std::string, std::string> trailers;
};

Reply Score(v1::Expert::Stub& stub, const v1::ScoreRequest& request,
            std::chrono::milliseconds within = 20s) {
  Reply reply;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + within);
  reply.status = rpc::FromGrpc(stub.Score(&context, request, &reply.response));
  for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
    reply.trailers[{key.data(), key.size()}] = {value.data(), value.size()};
  }
  return reply;
}

/// A scorer whose first run waits until it is released, so that what comes then waits together.
class HeldScorer {
 public:
  Scorer scorer() {
    return [this](std::span<const float> features, size_t rows) {
      largest_ = std::max(largest_.load(), rows);
      if (runs_.fetch_add(1) == 0) {
        started_.count_down();
        release_.wait();
      }
      return SampleScores(features, rows);
    };
  }
  void WaitUntilBusy() { started_.wait(); }
  void Release() { release_.count_down(); }
  int runs() const { return runs_; }
  size_t largest() const { return largest_; }

 private:
  std::latch started_{1}, release_{1};
  std::atomic<int> runs_ = 0;
  std::atomic<size_t> largest_ = 0;
};

TEST(ExpertServiceTest, AnswersAndSaysHowBusyItIs) {
  ExpertServer server;
  const auto stub = server.Stub();
  const Reply reply = Score(*stub, Request(2));
  ASSERT_THAT(reply.status, IsOk());
  const auto scores = ReadResponse(reply.response, 2, 3);
  ASSERT_THAT(scores, IsOk());
  EXPECT_EQ(scores->log_probabilities,
            SampleScores(SampleFeatures(2)->Floats(), 2)->log_probabilities);
  EXPECT_EQ(reply.response.part_version(), "7");
  EXPECT_EQ(reply.trailers.at(kInFlightTrailer), "0");
  EXPECT_GE(std::stoll(reply.trailers.at(kQueueTrailer)), 0);
  EXPECT_GE(std::stoll(reply.trailers.at(kComputeTrailer)), 0);
  EXPECT_EQ(server.service().in_flight(), 0U);
  EXPECT_EQ(RowsOf(server), 2);
}

TEST(ExpertServiceTest, SaysWhatARowTakesOnceOneWasComputed) {
  constexpr auto kBusy = 20ms;
  ExpertServer server({.scorer =
                           [&](std::span<const float> features, size_t rows) {
                             const auto until = core::Clock::now() + kBusy;
                             while (core::Clock::now() < until) {
                             }
                             return SampleScores(features, rows);
                           },
                       .service = {.workers = 2}});
  const auto stub = server.Stub();
  const auto describe = [&] {
    v1::ExpertDescription description;
    grpc::ClientContext context;
    EXPECT_TRUE(stub->Describe(&context, {}, &description).ok());
    return description.domains(0).service_seconds();
  };
  EXPECT_EQ(describe(), 0.0);
  Reply reply = Score(*stub, Request(4));
  ASSERT_THAT(reply.status, IsOk());
  EXPECT_FALSE(reply.trailers.contains(kServiceTrailer)) << "it is not over when it is answered";
  ASSERT_TRUE(Eventually([&] { return describe() > 0.0; }));
  reply = Score(*stub, Request(4));
  ASSERT_TRUE(reply.trailers.contains(kServiceTrailer));
  // 20 ms of two workers, four rows: 2.5 ms of the process, and what the machine held it up.
  EXPECT_GE(std::stoll(reply.trailers.at(kServiceTrailer)), 2'500'000);
}

TEST(ExpertServiceTest, ConcurrentCallersShareABatchAndGetTheAnswersOfASoloCall) {
  HeldScorer held;
  ExpertServer server({.scorer = held.scorer()});
  const auto stub = server.Stub();
  std::vector<std::future<Reply>> replies;
  for (unsigned caller = 0; caller < 6; ++caller) {
    replies.push_back(std::async(
        std::launch::async, [&, caller] { return Score(*stub, Request(1 + caller, caller)); }));
    if (caller == 0) held.WaitUntilBusy();
  }
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 21; }));
  held.Release();
  std::vector<Reply> together;
  for (auto& reply : replies) together.push_back(reply.get());
  for (unsigned caller = 0; caller < 6; ++caller) {
    ASSERT_THAT(together[caller].status, IsOk());
    const Reply alone = Score(*stub, Request(1 + caller, caller));
    EXPECT_EQ(together[caller].response.SerializeAsString(), alone.response.SerializeAsString());
  }
  EXPECT_EQ(held.largest(), 20U);  // Five callers in one run.
}

struct Fault {
  std::string name;
  std::function<void(v1::ScoreRequest&)> spoil;
  absl::StatusCode code;
  std::string says;
  std::string metric_domain;
  std::string metric_code;
};

class FaultTest : public ::testing::TestWithParam<Fault> {};

TEST_P(FaultTest, IsRefusedCountedAndSurvived) {
  ExpertServer server;
  const auto stub = server.Stub();
  v1::ScoreRequest request = Request(1);
  GetParam().spoil(request);
  const Reply reply = Score(*stub, request);
  EXPECT_THAT(reply.status, StatusIs(GetParam().code, HasSubstr(GetParam().says)));
  EXPECT_EQ(reply.trailers.count(kInFlightTrailer), 1U);
  const auto info = rpc::ErrorInfoOf(reply.status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason, rpc::ReasonOf(GetParam().code));
  EXPECT_EQ(info->metadata.at("model"), "default");
  EXPECT_EQ(info->metadata.at("domain"), request.domain());
  EXPECT_EQ(MetricValue(server.registry(), "orchard_expert_server_calls_total",
                        {{"model", "default"},
                         {"domain", GetParam().metric_domain},
                         {"code", GetParam().metric_code}}),
            1);
  EXPECT_THAT(Score(*stub, Request(1)).status, IsOk());
  EXPECT_EQ(server.service().in_flight(), 0U);
}

std::string NaNBytes() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {reinterpret_cast<const char*>(&nan), sizeof nan};
}

INSTANTIATE_TEST_SUITE_P(
    Table, FaultTest,
    ::testing::Values(
        Fault{"NaN",
              [](auto& r) { r.mutable_features()->mutable_data()->replace(8, 4, NaNBytes()); },
              absl::StatusCode::kInvalidArgument, "nan at element 2 of row 0", "apple",
              "INVALID_ARGUMENT"},
        Fault{"WrongShape", [](auto& r) { r.mutable_features()->set_shape(1, 4); },
              absl::StatusCode::kInvalidArgument, "[1, 4]", "apple", "INVALID_ARGUMENT"},
        Fault{"OtherEncoder", [](auto& r) { r.set_encoder_fingerprint("feedfeedfeedfeed"); },
              absl::StatusCode::kFailedPrecondition, "feedfeedfeedfeed", "apple",
              "FAILED_PRECONDITION"},
        Fault{"ForeignDomain", [](auto& r) { r.set_domain("pear"); }, absl::StatusCode::kNotFound,
              "\"pear\"; it serves: apple", "foreign", "NOT_FOUND"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ExpertServiceTest, CountsFeaturesOfAnotherEncoder) {
  ExpertServer server;
  const auto stub = server.Stub();
  v1::ScoreRequest request = Request(1);
  request.set_encoder_fingerprint("feedfeedfeedfeed");
  Score(*stub, request);
  EXPECT_EQ(MetricValue(server.registry(), "orchard_expert_server_fingerprint_mismatches_total",
                        {{"model", "default"}, {"domain", "apple"}}),
            1);
}

TEST(ExpertServiceTest, RefusesWhenTheQueueIsFullAndAsksForPatience) {
  HeldScorer held;
  ExpertServer server({.scorer = held.scorer(), .service = {.max_waiting = 1}});
  const auto stub = server.Stub();
  auto busy = std::async(std::launch::async, [&] { return Score(*stub, Request(1)).status; });
  held.WaitUntilBusy();
  auto waits = std::async(std::launch::async, [&] { return Score(*stub, Request(1)).status; });
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 2; }));
  const Reply refused = Score(*stub, Request(1));
  EXPECT_THAT(refused.status,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1 waiting")));
  EXPECT_EQ(refused.trailers.count(rpc::kRetryPushbackTrailer), 1U);
  EXPECT_EQ(refused.trailers.at(kInFlightTrailer), "2");
  const auto info = rpc::ErrorInfoOf(refused.status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason, rpc::kOverloaded);
  EXPECT_EQ(info->metadata, (std::map<std::string, std::string>{
                                {"domain", "apple"}, {"limit", "calls"}, {"model", "default"}}));
  held.Release();
  EXPECT_THAT(busy.get(), IsOk());
  EXPECT_THAT(waits.get(), IsOk());
}

double Abandoned(ExpertServer& server) {
  return MetricValue(server.registry(), "orchard_expert_server_abandoned_total",
                     {{"model", "default"}, {"domain", "apple"}});
}

TEST(ExpertServiceTest, ComputesNothingForACallerThatGaveUp) {
  HeldScorer held;
  ExpertServer server({.scorer = held.scorer()});
  const auto stub = server.Stub();
  auto busy = std::async(std::launch::async, [&] { return Score(*stub, Request(1)).status; });
  held.WaitUntilBusy();
  EXPECT_THAT(Score(*stub, Request(4), 50ms).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
  ASSERT_TRUE(Eventually([&] { return Abandoned(server) == 1; }));
  held.Release();
  EXPECT_THAT(busy.get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 0; }));
  EXPECT_EQ(held.runs(), 1);
  EXPECT_EQ(RowsOf(server), 1);
}

TEST(ExpertServiceTest, ComputesNothingForACallerThatCancelled) {
  HeldScorer held;
  ExpertServer server({.scorer = held.scorer()});
  const auto stub = server.Stub();
  auto busy = std::async(std::launch::async, [&] { return Score(*stub, Request(1)).status; });
  held.WaitUntilBusy();
  grpc::ClientContext context;
  auto cancelled = std::async(std::launch::async, [&] {
    v1::ScoreResponse response;
    return stub->Score(&context, Request(4), &response).error_code();
  });
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 5; }));
  context.TryCancel();
  EXPECT_EQ(cancelled.get(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(Eventually([&] { return Abandoned(server) == 1; }));
  held.Release();
  EXPECT_THAT(busy.get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 0; }));
  EXPECT_EQ(held.runs(), 1);
}

TEST(ExpertServiceTest, DescribesWhatItServes) {
  ExpertServer server;
  v1::ExpertDescription description;
  grpc::ClientContext context;
  ASSERT_TRUE(server.Stub()->Describe(&context, {}, &description).ok());
  EXPECT_EQ(description.model_version(), "default/1");
  ASSERT_EQ(description.domains_size(), 1);
  const v1::ExpertDomain& domain = description.domains(0);
  EXPECT_EQ(domain.domain(), "apple");
  EXPECT_EQ(domain.branch(), "non_disease");
  EXPECT_THAT(domain.classes(), ElementsAre("gala", "fuji", "boskoop"));
  EXPECT_EQ(domain.part_version(), "7");
  EXPECT_EQ(domain.encoder_fingerprint(), testing::kSampleFingerprint);
  EXPECT_EQ(domain.feature_kind(), v1::POOLED);
  EXPECT_EQ(
      MetricValue(
          server.registry(), "orchard_model_info",
          {{"model", "default"}, {"version", "1"}, {"fingerprint", testing::kSampleFingerprint}}),
      1);
}

}  // namespace
}  // namespace orchard::experts
