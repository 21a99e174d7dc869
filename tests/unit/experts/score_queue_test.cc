#include "experts/internal/score_queue.h"

#include <cmath>
#include <latch>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "experts/wire.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kSampleWidth;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::StatusIs;
using testing::WholeBatch;

/// A call whose fate the test reads after the queue was destroyed, which drains it.
class FakeCall final : public PendingScore {
 public:
  explicit FakeCall(size_t rows, unsigned seed = 0) : rows_(rows) {
    EXPECT_THAT(
        WriteRequest(WholeBatch(SampleFeatures(rows, seed)), SampleSpec(), v1::FP32, request_),
        IsOk());
  }
  void Spoil() {
    const float nan = std::nanf("");
    request_.mutable_features()->mutable_data()->replace(
        0, sizeof nan, reinterpret_cast<const char*>(&nan), sizeof nan);
  }
  void Leave() { wanted_ = absl::UnavailableError("gone"); }

  const v1::Tensor& features() const override { return request_.features(); }
  size_t rows() const override { return rows_; }
  core::Clock::time_point arrived() const override { return arrived_; }
  absl::Status StillWanted() const override { return wanted_; }
  void Answer(const model::ScoreBatch& scores, size_t first, Timing) override {
    EXPECT_FALSE(answer.has_value());
    v1::ScoreResponse response;
    WriteResponse(scores, first, rows_, "7", response);
    answer = ReadResponse(response, rows_, scores.classes);
  }
  void Fail(const absl::Status& status, Timing) override {
    EXPECT_FALSE(answer.has_value());
    answer = status;
  }

  std::optional<absl::StatusOr<model::ScoreBatch>> answer;

 private:
  const size_t rows_;
  const core::Clock::time_point arrived_ = core::Clock::now();
  v1::ScoreRequest request_;
  absl::Status wanted_;
};

class ScoreQueueTest : public ::testing::Test {
 protected:
  /// Lets the queue's one worker be busy with a first call until all `calls` wait, then drains.
  void RunTogether(const std::vector<FakeCall*>& calls, ScoreQueueOptions options = {}) {
    std::latch started(1), release(1);
    FakeCall first(1, /*seed=*/99);
    {
      ScoreQueue queue(
          spec_,
          [&](std::span<const float> features, size_t rows) {
            runs_.push_back(rows);
            if (runs_.size() == 1) {
              started.count_down();
              release.wait();
            }
            return scorer_(features, rows);
          },
          metrics_.domain(0), options);
      ASSERT_THAT(queue.Submit(&first), IsOk());
      started.wait();
      for (FakeCall* const call : calls) ASSERT_THAT(queue.Submit(call), IsOk());
      release.count_down();
    }
    runs_.erase(runs_.begin());
  }

  const ExpertSpec spec_ = SampleSpec();
  prometheus::Registry registry_;
  ExpertMetrics metrics_{registry_, {spec_}, "default", "1"};
  Scorer scorer_ = SampleScores;
  std::vector<size_t> runs_;  // rows of each run of the head, without the first call's
};

TEST_F(ScoreQueueTest, ComputesCallersTogetherAndAnswersThemApart) {
  FakeCall a(2, 1), b(1, 2), c(3, 3);
  RunTogether({&a, &b, &c});
  EXPECT_THAT(runs_, ElementsAre(6));
  for (const auto& [call, seed] : {std::pair<FakeCall*, unsigned>{&a, 1}, {&b, 2}, {&c, 3}}) {
    ASSERT_THAT(*call->answer, IsOk());
    const auto alone = SampleScores(SampleFeatures(call->rows(), seed)->pooled, call->rows());
    EXPECT_EQ((*call->answer)->log_probabilities, alone->log_probabilities);
    EXPECT_EQ((*call->answer)->energy, alone->energy);
  }
}

TEST_F(ScoreQueueTest, KeepsToTheLargestBatchInWholeCalls) {
  FakeCall a(2), b(2), c(3), d(9), e(1);
  RunTogether({&a, &b, &c, &d, &e}, {.max_batch = 5});
  EXPECT_THAT(runs_, ElementsAre(4, 3, 9, 1));
  for (FakeCall* const call : {&a, &b, &c, &d, &e}) EXPECT_THAT(*call->answer, IsOk());
}

TEST_F(ScoreQueueTest, ANaNFailsItsOwnCallerAlone) {
  FakeCall a(1, 1), spoilt(2, 2), c(1, 3);
  spoilt.Spoil();
  RunTogether({&a, &spoilt, &c});
  EXPECT_THAT(runs_, ElementsAre(2));
  EXPECT_THAT(*spoilt.answer, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nan")));
  ASSERT_THAT(*a.answer, IsOk());
  ASSERT_THAT(*c.answer, IsOk());
  EXPECT_EQ((*c.answer)->energy, SampleScores(SampleFeatures(1, 3)->pooled, 1)->energy);
}

TEST_F(ScoreQueueTest, ComputesNothingForCallersThatAreGone) {
  FakeCall a(1), gone(4);
  gone.Leave();
  RunTogether({&gone, &a});
  EXPECT_THAT(runs_, ElementsAre(1));
  EXPECT_THAT(*gone.answer, StatusIs(absl::StatusCode::kUnavailable, "gone"));
}

TEST_F(ScoreQueueTest, AFailedHeadFailsEveryCallerOfItsBatch) {
  scorer_ = [](auto, auto) { return absl::InternalError("out of luck"); };
  FakeCall a(1), b(1);
  RunTogether({&a, &b});
  EXPECT_THAT(*a.answer, StatusIs(absl::StatusCode::kInternal, "out of luck"));
  EXPECT_THAT(*b.answer, StatusIs(absl::StatusCode::kInternal, "out of luck"));
}

TEST_F(ScoreQueueTest, AHeadThatAnswersNonsenseHasFailed) {
  scorer_ = [](auto features, size_t rows) {
    auto scores = SampleScores(features, rows);
    scores->energy[0] = std::nanf("");
    return scores;
  };
  FakeCall a(1);
  RunTogether({&a});
  EXPECT_THAT(*a.answer, StatusIs(absl::StatusCode::kInternal, HasSubstr("energy of nan")));
}

}  // namespace
}  // namespace orchard::experts::internal
