// Endpoints that never answer, and calls that nobody waits for any more.

#include "tests/integration/experts/hung_expert.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/remote_expert.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::MuteServer;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::StatusIs;
using testing::WholeBatch;

/// Silence so long is its fault, though nothing is known of it yet.
constexpr auto kFair = 1100ms;

void FailFiveTimes(RemoteExpert& expert) {
  std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(Ask(expert, OneRow(), kFair));
  for (auto& answer : answers) {
    EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("apple")));
  }
}

TEST(HungExpertTest, ALoneOneIsMissingAtOnceAfterFiveAndBackWhenItAnswers) {
  for (const bool alive : {false, true}) {  // The whole process, or its computing alone.
    HungExpert hung(alive);
    const auto expert = Remote({hung.address()}, {.probe_timeout = 100ms});
    ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
    FailFiveTimes(*expert);
    ASSERT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kEjected; }));
    const FullyScored scored = AskFully(*expert, OneRow(), Within(20s)).get();
    if (!alive) {  // Otherwise it may be on trial by now.
      EXPECT_THAT(scored.scores, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("ejected")));
      EXPECT_EQ(scored.reason, MissingReason::kEjected);
      EXPECT_THAT(scored.attempts, IsEmpty());
    }
    hung.Heal();
    ASSERT_TRUE(Eventually([&] { return Ask(*expert, OneRow(), 1s).get().ok(); }));
    ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  }
}

/// How long one that hung, and was probed in vain three times, is not asked after it is well again,
/// by the figures of a router.
core::Clock::duration TimeUntilItIsBack() {
  HungExpert hung(/*alive=*/false);
  const auto expert = *RemoteExpert::Create(testing::SampleSpec(), {hung.address()}, {});
  EXPECT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  FailFiveTimes(*expert);
  EXPECT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kEjected; }));
  const int probes = hung.probes();
  EXPECT_TRUE(Eventually([&] { return hung.probes() >= probes + 3; }));
  const core::Clock::time_point healed = core::Clock::now();
  hung.Heal();
  EXPECT_TRUE(Eventually([&] { return Ask(*expert, OneRow(), 20s).get().ok(); }));
  return core::Clock::now() - healed;
}

TEST(HungExpertTest, ALoneOneIsBackWithinTwoSecondsOfItsHealth) {
  core::Clock::duration best = core::Clock::duration::max();
  for (int round = 0; round < 3 && best > 2s; ++round) best = std::min(best, TimeUntilItIsBack());
  EXPECT_LE(best, 2s);
}

TEST(HungExpertTest, OneOfTwoIsEjectedAndTheOtherAnswers) {
  HungExpert hung(/*alive=*/false);
  ExpertServer well;
  std::atomic<int> ejections = 0;
  const auto expert =
      Remote({hung.address(), well.address().ToString()},
             {.probe_timeout = 100ms,
              .hedge = false,
              .events = {.on_transition = [&](const EndpointTransition& transition) {
                if (transition.state == EndpointState::kEjected) ++ejections;
              }}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  ASSERT_TRUE(Eventually([&] {
    (void)Ask(*expert, OneRow(), 150ms).get();
    return expert->Endpoints()[0].state == EndpointState::kEjected;
  }));
  EXPECT_GE(ejections, 1);
  const int calls = hung.calls();
  for (unsigned i = 0; i < 100; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(hung.calls(), calls);
  EXPECT_EQ(expert->Unavailable(), std::nullopt);
}

TEST(HungExpertTest, ASilentReplicaIsFoundEvenWhenNobodyWaitsLongEnough) {
  HungExpert hung(/*alive=*/false);
  const auto expert = Remote({hung.address()}, {.probe_timeout = 100ms});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  ASSERT_TRUE(Eventually([&] {
    std::stop_source caller;
    auto answer = AskFully(*expert, OneRow(),
                           {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
    caller.request_stop();
    answer.wait();
    return expert->Unavailable() == MissingReason::kEjected;
  }));
}

TEST(HungExpertTest, ASlowOneOfWhichNothingIsKnownYetIsNotEjected) {
  HungExpert slow(/*alive=*/true);
  const auto expert = Remote({slow.address()});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
  for (int i = 0; i < 8; ++i) answers.push_back(Ask(*expert, OneRow(), 150ms));
  for (auto& answer : answers) (void)answer.get();
  EXPECT_EQ(expert->Unavailable(), std::nullopt);
}

TEST(HungExpertTest, DeadlinesThatLeaveNoTimeAreNotItsFault) {
  ExpertServer slow({.scorer = [](std::span<const float> features, size_t rows) {
    std::this_thread::sleep_for(5ms);
    return SampleScores(features, rows);
  }});
  const auto expert = Remote({slow.address().ToString()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 30; ++i) (void)Ask(*expert, OneRow(i), 1ms).get();
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST(HungExpertTest, AConnectionThatNobodyAnswersIsDown) {
  const MuteServer mute;
  ExpertServer well;
  const auto expert = Remote({mute.address(), well.address().ToString()});
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kDown; }));
}

TEST(CancelTest, ACallThatNobodyWaitsForEndsHereAndThere) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  auto features = SampleFeatures(4);
  const std::weak_ptr<const core::View> watched = features;
  std::stop_source caller;
  auto answer = AskFully(*expert, WholeBatch(std::move(features)),
                         {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
  ASSERT_TRUE(Eventually([&] { return hung.calls() == 1; }));
  EXPECT_TRUE(watched.expired());  // They went with the request.
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  caller.request_stop();
  const FullyScored scored = answer.get();
  EXPECT_THAT(scored.scores, StatusIs(absl::StatusCode::kCancelled, HasSubstr("nobody waits")));
  ASSERT_EQ(scored.attempts.size(), 1U);
  EXPECT_EQ(scored.attempts[0].code, absl::StatusCode::kCancelled);
  EXPECT_TRUE(Eventually([&] { return hung.cancelled() == 1; }));
  EXPECT_TRUE(Eventually([&] { return expert->Endpoints()[0].in_flight == 0; }));
}

TEST(CancelTest, ATokenThatWasStoppedBeforeEndsTheCallToo) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  std::stop_source caller;
  caller.request_stop();
  EXPECT_THAT(AskFully(*expert, OneRow(),
                       {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()})
                  .get()
                  .scores,
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
}

TEST(CancelTest, ManyCancelledCallsLeaveNothingBehind) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  std::vector<std::weak_ptr<const core::View>> features;
  for (unsigned i = 0; i < 400; ++i) {
    std::stop_source caller;
    auto mine = SampleFeatures(2, i);
    features.push_back(mine);
    auto answer =
        AskFully(*expert, WholeBatch(mine),
                 {.deadline = core::Clock::now() + 10min, .cancelled = caller.get_token()});
    mine.reset();
    if (i % 2 == 0) std::this_thread::yield();
    caller.request_stop();
    (void)answer.get();
  }
  EXPECT_TRUE(std::ranges::all_of(features, [](const auto& one) { return one.expired(); }));
  EXPECT_TRUE(Eventually([&] { return expert->outstanding() == 0; }));
  EXPECT_EQ(expert->Endpoints()[0].in_flight, 0U);
}

TEST(CancelTest, TheExpertDoesNotComputeWhatNobodyWaitsFor) {
  std::latch started{1};
  std::latch release{1};
  std::atomic<size_t> computed = 0;
  ExpertServer server({.scorer = [&](std::span<const float> features, size_t rows) {
    if (computed.fetch_add(rows) == 0) {
      started.count_down();
      release.wait();
    }
    return SampleScores(features, rows);
  }});
  const auto expert = Remote({server.address().ToString()});
  auto first = Ask(*expert, OneRow());
  started.wait();
  std::stop_source caller;
  auto gone = AskFully(*expert, WholeBatch(SampleFeatures(7)),
                       {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 8; }));
  caller.request_stop();
  EXPECT_THAT(gone.get().scores, StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  ASSERT_TRUE(Eventually([&] {
    return MetricValue(server.registry(), "orchard_expert_server_abandoned_total",
                       {{"model", "default"}, {"domain", "apple"}}) == 1;
  }));
  release.count_down();
  EXPECT_THAT(first.get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 0; }));
  EXPECT_EQ(computed, 1U);
}

}  // namespace
}  // namespace orchard::experts
