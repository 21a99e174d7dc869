#include "clients/cpp/bench/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/status.h"

namespace orchard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using namespace std::chrono_literals;

TEST(TallyTest, GoodAnswersAreThoseWithinTheSlo) {
  Tally tally;
  v1::ClassifyResponse answer;
  answer.set_outcome(v1::LOW_CONFIDENCE);
  answer.mutable_timings()->set_encode_ms(3.0);
  answer.mutable_timings()->set_decode_ms(40.0);
  answer.mutable_routing()->add_domains()->set_activated(true);
  answer.mutable_routing()->add_domains();
  tally.Answered(answer, 100ms, 100ms);
  answer.set_degraded(true);
  tally.Answered(answer, 101ms, 100ms);
  EXPECT_EQ(tally.ok, 2u);
  EXPECT_EQ(tally.good, 1u);
  EXPECT_EQ(tally.degraded, 1u);
  EXPECT_THAT(tally.outcomes, ElementsAre(Pair("LOW_CONFIDENCE", 2u)));
  EXPECT_EQ(tally.latency.max(), 101ms);
  EXPECT_EQ(tally.without_decode.max(), 61ms);
  EXPECT_EQ(tally.experts_asked, 2u);
  EXPECT_EQ(tally.stages[2].mean(), 3ms);
}

TEST(TallyTest, FailuresCountByCodeAndByReasonAndNotAsLatency) {
  Tally tally;
  tally.Failed(absl::DeadlineExceededError("late"), 1s);
  tally.Failed(rpc::WithErrorInfo(absl::UnavailableError("none"), rpc::kNoExpert), 5ms);
  tally.Failed(absl::UnavailableError("gone"), 1ms);
  EXPECT_EQ(tally.failed, 3u);
  EXPECT_THAT(tally.errors, ElementsAre(Pair("DEADLINE_EXCEEDED", 1u), Pair("UNAVAILABLE", 2u)));
  EXPECT_THAT(tally.reasons, ElementsAre(Pair("NO_EXPERT", 1u)));
  EXPECT_EQ(tally.an_error, "late");
  EXPECT_EQ(tally.latency.count(), 0u);
  EXPECT_EQ(tally.failed_latency.count(), 3u);
}

}  // namespace
}  // namespace orchard::client
