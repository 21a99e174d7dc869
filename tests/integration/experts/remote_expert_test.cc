#include "experts/remote_expert.h"

#include <atomic>
#include <future>
#include <latch>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/mutex.h"
#include "experts/part_digest.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/allocations.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::StatusIs;
using testing::WholeBatch;

std::unique_ptr<RemoteExpert> Remote(const std::vector<server::Address>& addresses,
                                     RemoteExpertOptions options = {}) {
  std::vector<std::string> texts;
  for (const server::Address& address : addresses) texts.push_back(address.ToString());
  return experts::Remote(texts, std::move(options));
}

TEST(RemoteExpertTest, GivesTheAnswersOfTheSameExpertInProcess) {
  ExpertServer server;
  const auto expert = Remote({server.address()});
  const auto features = SampleFeatures(5);
  const auto answer = Ask(*expert, {features, {4, 0, 2}}).get();
  ASSERT_THAT(answer, IsOk());
  const auto want = SampleScores(features->Floats(), 5);
  for (const auto& [row, of_all] : {std::pair<size_t, size_t>{0, 4}, {1, 0}, {2, 2}}) {
    EXPECT_EQ(answer->energy[row], want->energy[of_all]);
    EXPECT_TRUE(std::ranges::equal(answer->Row(row), want->Row(of_all)));
  }
}

TEST(RemoteExpertTest, LearnsWhatARowTakesFromAnswersAndFromDescriptions) {
  ExpertServer server;
  const auto expert = Remote({server.address()});
  EXPECT_EQ(expert->ServiceSeconds(), std::nullopt);
  EXPECT_TRUE(Eventually([&] {
    EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
    return expert->ServiceSeconds().has_value();
  }));
  EXPECT_GT(*expert->ServiceSeconds(), 0.0);
  const auto later = Remote({server.address()});  // It asks what the endpoint is, and no more.
  EXPECT_TRUE(Eventually([&] { return later->ServiceSeconds().has_value(); }));
}

TEST(RemoteExpertTest, TravelsInTwoBytesWhenTold) {
  ExpertServer server;
  for (const v1::DType dtype : {v1::FP16, v1::BF16}) {
    const auto expert = Remote({server.address()}, {.dtype = dtype});
    const auto answer = Ask(*expert, OneRow()).get();
    ASSERT_THAT(answer, IsOk());
    // Three numbers of at most 1, each off by half a unit in the last place of BF16.
    EXPECT_NEAR(answer->energy[0], SampleScores(SampleFeatures(1)->Floats(), 1)->energy[0],
                3 * 0x1p-9);
  }
}

TEST(RemoteExpertTest, WithoutMemoryForARequestItIsOverloadedAndHasNotFailed) {
  constexpr size_t kWidth = size_t{1} << 18;  // Far more than anything else takes.
  ExpertServer server;
  ExpertSpec wide = SampleSpec();
  wide.row_shape = {static_cast<std::int64_t>(kWidth)};
  const auto expert = RemoteExpert::Create(wide, {server.address().ToString()}, Quick());
  ASSERT_THAT(expert, IsOk());
  ASSERT_THAT((*expert)->Warm(core::Clock::now() + 20s), IsOk());
  const SubBatch batch = WholeBatch(std::make_shared<const core::View>(
      std::make_shared<const core::ViewSpec>(wide.View()), std::vector<float>(kWidth)));
  const testing::ShortMemory memory(kWidth * sizeof(float));
  const FullyScored scored = AskFully(**expert, batch, Within(20s)).get();
  EXPECT_THAT(scored.scores, StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
  EXPECT_EQ(scored.reason, MissingReason::kOverloaded);
}

TEST(RemoteExpertTest, RefusesAddressesThatAreNone) {
  EXPECT_THAT(RemoteExpert::Create(SampleSpec(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("apple has no address")));
  EXPECT_THAT(RemoteExpert::Create(SampleSpec(), {"127.0.0.1:8011", "nowhere"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nowhere")));
}

TEST(RemoteExpertTest, AnotherEndpointAnswersForAKilledOne) {
  auto first = std::make_unique<ExpertServer>();
  ExpertServer second;
  const auto expert = Remote({first->address(), second.address()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 50; ++i) {
    if (i == 10) first->Stop();
    ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk()) << i;
  }
  EXPECT_TRUE(!expert->Unavailable());
}

TEST(RemoteExpertTest, SaysThatItIsUnavailableUntilAnEndpointIsBack) {
  auto server = std::make_unique<ExpertServer>();
  const server::Address address = server->address();
  ExpertServer other;
  const server::Address other_address = other.address();
  const auto expert = Remote({address, other_address});
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  server.reset();
  other.Stop();
  ASSERT_TRUE(Eventually([&] { return expert->Unavailable().has_value(); }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("apple"), HasSubstr(address.ToString()),
                             HasSubstr(other_address.ToString()))));
  ExpertServer back({.listen = address});
  ASSERT_TRUE(Eventually([&] { return !expert->Unavailable(); }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST(RemoteExpertTest, IsUnavailableWhenNobodyEverListened) {
  const SilentPort nobody;
  const auto expert = Remote({AddressOf(nobody)});
  EXPECT_THAT(Ask(*expert, OneRow()).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(AddressOf(nobody).ToString())));
  ASSERT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kDown; }));
  EXPECT_THAT(expert->Warm(core::Clock::now() + 20s),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(AddressOf(nobody).ToString())));
}

TEST(RemoteExpertTest, HealthThatSaysNotServingKeepsCallsAway) {
  ExpertServer first, second;
  const auto expert = Remote({first.address(), second.address()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  first.host().SetServing(false);
  ASSERT_TRUE(
      Eventually([&] { return expert->Endpoints().front().state == EndpointState::kDown; }));
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(RowsOf(second), 20);
}

/// Closed-loop callers for as long as it lives.
class Traffic {
 public:
  Traffic(Expert& expert, size_t callers) {
    for (size_t i = 0; i < callers; ++i) {
      callers_.emplace_back([this, &expert](std::stop_token stop) {
        while (!stop.stop_requested()) {
          const auto answer = Ask(expert, WholeBatch(SampleFeatures(2))).get();
          ++answered_;
          if (!answer.ok()) {
            ADD_FAILURE() << answer.status();
          }
        }
      });
    }
  }
  void WaitForMore(int answers) const {
    const int until = answered_ + answers;
    EXPECT_TRUE(Eventually([&] { return answered_ >= until; }));
  }

 private:
  std::atomic<int> answered_ = 0;
  std::vector<std::jthread> callers_;  // Last, so that they are joined first.
};

TEST(RemoteExpertTest, NoCallFailsWhileEndpointsDrainInTurn) {
  std::vector<std::unique_ptr<ExpertServer>> servers;
  for (int i = 0; i < 2; ++i) servers.push_back(std::make_unique<ExpertServer>());
  const auto expert = Remote({servers[0]->address(), servers[1]->address()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  const Traffic traffic(*expert, 4);
  for (int round = 0; round < 6; ++round) {
    const auto turn = static_cast<size_t>(round % 2);
    traffic.WaitForMore(50);
    // Every second round says nothing before it shuts down: then the other endpoint must cure it.
    if (round < 3) {
      servers[turn]->host().SetServing(false);
      ASSERT_TRUE(
          Eventually([&] { return expert->Endpoints()[turn].state == EndpointState::kDown; }));
      traffic.WaitForMore(20);
    }
    EXPECT_TRUE(servers[turn]->host().Shutdown(core::Clock::now() + 20s));
    traffic.WaitForMore(20);
    const server::Address address = servers[turn]->address();
    servers[turn].reset();
    servers[turn] = std::make_unique<ExpertServer>(ExpertServer::Options{.listen = address});
    ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[turn].state == EndpointState::kUp; }));
  }
}

/// A scorer that does not answer until it is released.
class StuckScorer {
 public:
  ~StuckScorer() { EXPECT_TRUE(release_.try_wait()) << "release it before the server goes"; }
  Scorer scorer() {
    return [this](std::span<const float> features, size_t rows) {
      if (!started_.try_wait()) started_.count_down();
      release_.wait();
      return SampleScores(features, rows);
    };
  }
  void WaitUntilStuck() { started_.wait(); }
  void Release() { release_.count_down(); }

 private:
  std::latch started_{1}, release_{1};
};

TEST(RemoteExpertTest, AStuckEndpointCostsTheDeadlineAndNoMore) {
  StuckScorer stuck;
  ExpertServer server({.scorer = stuck.scorer()});
  const auto expert = Remote({server.address()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  const auto asked = core::Clock::now();
  const auto answer = Ask(*expert, OneRow(), 100ms).get();
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kDeadlineExceeded,
                               HasSubstr("apple at " + server.address().ToString())));
  EXPECT_GE(core::Clock::now() - asked, 100ms);
  EXPECT_LT(core::Clock::now() - asked, 5s);
  stuck.Release();
}

TEST(RemoteExpertTest, ADeadlineThatHasPassedCostsNothing) {
  ExpertServer server;
  const auto expert = Remote({server.address()});
  auto answer = Ask(*expert, OneRow(), 0ms);
  ASSERT_EQ(answer.wait_for(0s), std::future_status::ready);
  EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("apple")));
}

TEST(RemoteExpertTest, AnswersEveryCallBeforeItIsGone) {
  StuckScorer stuck;
  ExpertServer server({.scorer = stuck.scorer()});
  auto expert = Remote({server.address()});
  std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
  for (unsigned i = 0; i < 8; ++i) answers.push_back(Ask(*expert, OneRow(i)));
  stuck.WaitUntilStuck();
  expert.reset();
  for (auto& answer : answers) {
    ASSERT_EQ(answer.wait_for(0s), std::future_status::ready);
    EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("apple")));
  }
  stuck.Release();
}

ExpertSpec OtherEncoder() {
  ExpertSpec spec = SampleSpec();
  spec.encoder_fingerprint = "feedfeedfeedfeed";
  return spec;
}

/// The reasons for which an expert's endpoints became foreign, and how often that was counted.
struct Mismatches {
  FleetEvents Events() {
    return {.on_transition =
                [this](const EndpointTransition& transition) {
                  if (transition.state != EndpointState::kForeign) return;
                  core::MutexLock lock(mutex);
                  reasons.push_back(transition.address + ": " + transition.reason);
                },
            .on_mismatch = [this] { ++count; }};
  }
  std::string Last() {
    core::MutexLock lock(mutex);
    return reasons.empty() ? "" : reasons.back();
  }
  std::atomic<int> count = 0;
  core::Mutex mutex;
  std::vector<std::string> reasons ABSL_GUARDED_BY(mutex);
};

/// An endpoint of `foreign` is never used, counted once, and used when it holds ours.
void ExpectForeignUntilItHoldsOurs(const ExpertSpec& foreign, const std::string& theirs,
                                   const std::string& ours) {
  Mismatches mismatches;
  auto server = std::make_unique<ExpertServer>(ExpertServer::Options{.spec = foreign});
  const server::Address address = server->address();
  const auto expert = Remote({address}, {.events = mismatches.Events()});
  EXPECT_THAT(Ask(*expert, OneRow()).get(), ::testing::Not(IsOk()));
  ASSERT_TRUE(Eventually([&] { return !mismatches.Last().empty(); }));
  EXPECT_THAT(mismatches.Last(),
              AllOf(HasSubstr(address.ToString()), HasSubstr(theirs), HasSubstr(ours)));
  EXPECT_EQ(expert->Unavailable(), MissingReason::kForeign);
  EXPECT_EQ(expert->Endpoints()[0].state, EndpointState::kForeign);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Ask(*expert, OneRow()).get(),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr("no endpoint of apple can be asked: " + address.ToString() +
                                   " is foreign")));
  }
  EXPECT_EQ(mismatches.count, 1);  // Endpoints are counted, not calls.

  server.reset();
  server = std::make_unique<ExpertServer>(ExpertServer::Options{.listen = address});
  ASSERT_TRUE(Eventually([&] { return !expert->Unavailable(); }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST(RemoteExpertTest, AnEndpointOfAnotherEncoderIsForeignUntilItHoldsOurs) {
  ExpectForeignUntilItHoldsOurs(OtherEncoder(), "feedfeedfeedfeed", testing::kSampleFingerprint);
}

/// The trap: the same classes of the same encoder in another order. Every shape fits, and without
/// the digest every answer would have the wrong name.
ExpertSpec OtherOrder() {
  ExpertSpec spec = SampleSpec();
  std::swap(spec.classes[0], spec.classes[2]);
  spec.part_version = "8";
  spec.part_digest = PartDigest(spec.domain, spec.classes, spec.classes, spec.kind);
  return spec;
}

TEST(RemoteExpertTest, APartWhoseClassesStandInAnotherOrderIsForeign) {
  ASSERT_EQ(OtherOrder().encoder_fingerprint, SampleSpec().encoder_fingerprint);
  ASSERT_EQ(OtherOrder().classes.size(), SampleSpec().classes.size());
  ExpectForeignUntilItHoldsOurs(OtherOrder(), OtherOrder().part_digest, SampleSpec().part_digest);
}

TEST(RemoteExpertTest, ThePartThatMeansSomethingElseNeverAnswersInAMixedFleet) {
  ExpertServer other({.spec = OtherOrder()}), ours;
  const auto expert = Remote({other.address(), ours.address()});
  for (unsigned i = 0; i < 60; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(RowsOf(other), 0);
  EXPECT_EQ(RowsOf(ours), 60);
}

TEST(RemoteExpertTest, AnEndpointOfAnotherModelIsForeign) {
  ExpertSpec spec = SampleSpec();
  spec.model = "garden";
  ExpertServer server({.spec = spec, .model = "garden"});
  const auto expert = Remote({server.address()});
  ASSERT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kForeign; }));
}

/// Holds another encoder's expert whenever it is asked, and counts how often that is.
class OtherExpert final : public v1::Expert::CallbackService {
 public:
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest*,
                                  v1::ScoreResponse*) override {
    auto* const reactor = context->DefaultReactor();
    reactor->Finish({grpc::StatusCode::FAILED_PRECONDITION, "another encoder"});
    return reactor;
  }
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest*,
                                     v1::ExpertDescription* response) override {
    v1::ExpertDomain& domain = *response->add_domains();
    domain.set_domain("apple");
    domain.set_encoder_fingerprint(OtherEncoder().encoder_fingerprint);
    ++probes;
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  std::atomic<int> probes = 0;
};

TEST(RemoteExpertTest, AnEndpointThatKeepsAnotherEncoderStaysDownWhateverIsProbed) {
  OtherExpert other;
  auto host =
      server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Expert::service_full_name(), &other}});
  ASSERT_THAT(host, IsOk());
  (*host)->SetServing(true);
  const auto expert = Remote({(*host)->address()});
  ASSERT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kForeign; }));
  // At most one probe in probe_interval: so many mean that some were answered.
  const int probes = other.probes;
  bool was_up = false;
  ASSERT_TRUE(Eventually([&] {
    was_up = was_up || !expert->Unavailable();
    return other.probes >= probes + 3;
  }));
  EXPECT_FALSE(was_up);
}

TEST(RemoteExpertTest, AnotherEndpointAnswersForOneOfAnotherEncoder) {
  ExpertServer other({.spec = OtherEncoder()}), ours;
  const auto expert = Remote({other.address(), ours.address()});
  expert->Warm(core::Clock::now() + 20s).IgnoreError();  // It may know by now which one is foreign.
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kForeign; }));
}

double CallsOf(ExpertServer& server, const std::string& code) {
  return MetricValue(server.registry(), "orchard_expert_server_calls_total",
                     {{"model", "default"}, {"domain", "apple"}, {"code", code}});
}

TEST(RemoteExpertTest, WhatIsWrongWithTheCallIsNotTriedElsewhere) {
  ExpertServer first, second;
  const auto expert = Remote({first.address(), second.address()});
  const auto features = testing::SampleFeaturesWith(2, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(Ask(*expert, {features, {0}}).get(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nan")));
  EXPECT_EQ(CallsOf(first, "INVALID_ARGUMENT") + CallsOf(second, "INVALID_ARGUMENT"), 1);
  EXPECT_TRUE(!expert->Unavailable());
}

TEST(RemoteExpertTest, RequestIdsThatCannotTravelStayAtHome) {
  ExpertServer server;
  const auto expert = Remote({server.address()});
  for (const std::string& id : {std::string(), std::string("two\nlines"), std::string(4000, 'x'),
                                std::string("\xff\x00", 2)}) {
    EXPECT_THAT(Ask(*expert, OneRow(), 20s, id).get(), IsOk());
  }
}

/// Answers by the book, but nonsense; and keeps who waits.
class OddExpert final : public v1::Expert::CallbackService {
 public:
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override {
    if (asked.exchange(true)) ADD_FAILURE() << "asked twice";
    sent.CopyFrom(*request);
    for (int i = 0; i < 3; ++i) {
      (response->rows_size() == 0 ? response->add_rows() : response->mutable_rows(0))
          ->add_log_probabilities(std::numeric_limits<float>::quiet_NaN());
    }
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  v1::ScoreRequest sent;  // Read after the answer.
  std::atomic<bool> asked = false;
};

TEST(RemoteExpertTest, SaysWhoWaitsAndForWhatAndRefusesNonsense) {
  OddExpert odd;
  auto host = server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Expert::service_full_name(), &odd}});
  ASSERT_THAT(host, IsOk());
  (*host)->SetServing(true);
  const auto expert = Remote({(*host)->address()});
  EXPECT_THAT(Ask(*expert, OneRow(), 20s, "req-42").get(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("log-probability of nan")));
  ASSERT_EQ(odd.sent.callers_size(), 1);
  EXPECT_EQ(odd.sent.callers(0).request_id(), "req-42");
  EXPECT_EQ(odd.sent.model(), "default");
  EXPECT_EQ(odd.sent.part_digest(), SampleSpec().part_digest);
}

}  // namespace
}  // namespace orchard::experts
