#include "experts/internal/score_queue.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <latch>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "experts/wire.h"
#include "rpc/status.h"
#include "tests/testing/allocations.h"
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
using testing::ShortMemory;
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
  void Leave() { gone_ = true; }

  const v1::Tensor& features() const override { return request_.features(); }
  size_t rows() const override { return rows_; }
  core::Clock::time_point arrived() const override { return arrived_; }
  absl::Status StillWanted() const override {
    return gone_ ? absl::UnavailableError("gone") : absl::OkStatus();
  }
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
  std::atomic<bool> gone_ = false;
};

class ScoreQueueTest : public ::testing::Test {
 protected:
  /// Lets the queue's one worker be busy with a first call until all `calls` wait, then drains.
  void RunTogether(const std::vector<FakeCall*>& calls, ScoreQueueOptions options = {}) {
    std::latch started(1), release(1);
    FakeCall first(1, /*seed=*/99);
    {
      ScorePool pool({});
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
          metrics_.domain(0), options, pool);
      ASSERT_THAT(queue.Submit(&first), IsOk());
      started.wait();
      for (FakeCall* const call : calls) ASSERT_THAT(queue.Submit(call), IsOk());
      release.count_down();
      pool.Stop();
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
    const auto alone = SampleScores(SampleFeatures(call->rows(), seed)->Floats(), call->rows());
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
  EXPECT_EQ((*c.answer)->energy, SampleScores(SampleFeatures(1, 3)->Floats(), 1)->energy);
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

TEST_F(ScoreQueueTest, WithoutMemoryForABatchItsCallsAreComputedOneByOne) {
  constexpr size_t kRows = 200;
  constexpr size_t kCallBytes = kRows * kSampleWidth * sizeof(float);
  FakeCall a(kRows, 1), b(kRows, 2);
  {
    const ShortMemory memory(2 * kCallBytes);
    RunTogether({&a, &b}, {.max_batch = 2 * kRows});
  }
  EXPECT_THAT(*a.answer, IsOk());
  EXPECT_THAT(*b.answer, IsOk());
  EXPECT_THAT(runs_, ElementsAre(kRows, kRows));
}

TEST_F(ScoreQueueTest, WhatAHeadHasNoMemoryForTogetherItComputesOneByOne) {
  scorer_ = [](auto features, size_t rows) {
    if (rows > 2) throw std::bad_alloc();
    return SampleScores(features, rows);
  };
  FakeCall small(1), medium(2), large(3);
  RunTogether({&small, &medium, &large}, {.max_batch = 6});
  EXPECT_THAT(*small.answer, IsOk());
  EXPECT_THAT(*medium.answer, IsOk());
  EXPECT_THAT(*large.answer, StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
}

TEST_F(ScoreQueueTest, WhoHasGoneBetweenCallsThatAreComputedOneByOneIsNotComputed) {
  FakeCall a(1), gone(2), c(1);
  bool failed = false;  // The one worker's.
  scorer_ = [&](auto features, size_t rows) {
    if (rows > 2) {
      failed = true;
      throw std::bad_alloc();
    }
    if (failed) gone.Leave();
    return SampleScores(features, rows);
  };
  RunTogether({&a, &gone, &c}, {.max_batch = 4});
  EXPECT_THAT(runs_, ElementsAre(4, 1, 1));
  EXPECT_THAT(*gone.answer, StatusIs(absl::StatusCode::kUnavailable, "gone"));
  EXPECT_THAT(*a.answer, IsOk());
  EXPECT_THAT(*c.answer, IsOk());
}

TEST_F(ScoreQueueTest, WithoutMemoryForACallTheCallerIsToldAndTheWorkerGoesOn) {
  constexpr size_t kRows = 200;
  FakeCall large(kRows), small(1);
  {
    const ShortMemory memory(kRows * kSampleWidth * sizeof(float));
    RunTogether({&large, &small}, {.max_batch = 1});
  }
  EXPECT_THAT(*large.answer, StatusIs(absl::StatusCode::kResourceExhausted, "features: no memory"));
  EXPECT_THAT(*small.answer, IsOk());
}

TEST_F(ScoreQueueTest, AHeadThatThrowsFailsItsBatch) {
  scorer_ = [](auto, auto) -> absl::StatusOr<model::ScoreBatch> { throw std::bad_alloc(); };
  FakeCall a(1);
  RunTogether({&a});
  EXPECT_THAT(*a.answer, StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
}

/// A queue whose one worker is busy with a first call until Release().
class BusyQueueTest : public ScoreQueueTest {
 protected:
  void Start(ScoreQueueOptions options, ScorePoolOptions pool = {}) {
    pool_.emplace(std::move(pool));
    queue_.emplace(
        spec_,
        [this](std::span<const float> features, size_t rows) {
          if (!std::exchange(busy_, true)) started_.count_down();
          release_.wait();
          return SampleScores(features, rows);
        },
        metrics_.domain(0), options, *pool_);
    ASSERT_THAT(queue_->Submit(&first_), IsOk());
    started_.wait();
  }
  void Release() {
    if (!release_.try_wait()) release_.count_down();
  }
  ~BusyQueueTest() override {
    Release();
    pool_->Stop();
  }

  /// Lives until the queue has ended.
  FakeCall& Call(size_t rows) { return *calls_.emplace_back(std::make_unique<FakeCall>(rows)); }

  FakeCall first_{1};
  std::vector<std::unique_ptr<FakeCall>> calls_;
  std::latch started_{1}, release_{1};
  bool busy_ = false;  // The one worker's.
  std::optional<ScorePool> pool_;
  std::optional<ScoreQueue> queue_;
};

TEST_F(BusyQueueTest, IsBoundedByCalls) {
  FakeCall& a = Call(1);
  FakeCall& b = Call(1);
  Start({.max_waiting = 1});
  ASSERT_THAT(queue_->Submit(&a), IsOk());
  EXPECT_THAT(queue_->Submit(&b), StatusIs(absl::StatusCode::kResourceExhausted,
                                           HasSubstr("1 waiting calls, the limit is 1")));
}

TEST_F(BusyQueueTest, IsBoundedByRows) {
  FakeCall& a = Call(3);
  FakeCall& b = Call(3);
  FakeCall& c = Call(2);
  Start({.max_waiting_rows = 5});
  ASSERT_THAT(queue_->Submit(&a), IsOk());
  const absl::Status refused = queue_->Submit(&b);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("3 waiting rows, the limit is 5")));
  EXPECT_TRUE(rpc::PushbackOf(refused).has_value());
  EXPECT_THAT(queue_->Submit(&c), IsOk());
}

TEST_F(BusyQueueTest, ACallAboveTheLimitIsTakenWhenNothingElseWaits) {
  FakeCall& large = Call(9);
  FakeCall& b = Call(1);
  Start({.max_waiting_rows = 5});
  ASSERT_THAT(queue_->Submit(&large), IsOk());
  EXPECT_THAT(queue_->Submit(&b), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("9")));
}

TEST_F(BusyQueueTest, BytesAreBoundedOverAllDomains) {
  const size_t bytes = 2 * kSampleWidth * sizeof(float);  // Of a call of two rows.
  Start({}, {.max_waiting_bytes = bytes + bytes / 2});
  ScoreQueue other(spec_, SampleScores, metrics_.domain(0), {}, *pool_);
  FakeCall& a = Call(2);
  FakeCall& b = Call(2);
  ASSERT_THAT(queue_->Submit(&a), IsOk());
  EXPECT_THAT(other.Submit(&b),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("bytes of all domains")));
  Release();
  pool_->Stop();  // Before `other` goes.
}

TEST_F(BusyQueueTest, CallersThatHaveGoneGiveTheirPlacesUp) {
  FakeCall& gone = Call(1);
  FakeCall& b = Call(1);
  Start({.max_waiting = 1});
  ASSERT_THAT(queue_->Submit(&gone), IsOk());
  gone.Leave();
  EXPECT_THAT(queue_->Submit(&b), IsOk());
  ASSERT_TRUE(gone.answer.has_value());  // While the head still runs.
  EXPECT_THAT(*gone.answer, StatusIs(absl::StatusCode::kUnavailable, "gone"));
  Release();
  pool_->Stop();
  ASSERT_TRUE(b.answer.has_value());
  EXPECT_THAT(*b.answer, IsOk());
}

// One worker took up to 32 calls and ran them one batch after the other, while others idled.
TEST_F(ScoreQueueTest, WorkersShareWhatOneDomainHas) {
  constexpr size_t kWorkers = 4;
  ScorePool pool({.workers = kWorkers});
  std::barrier<> all_busy(kWorkers + 1), all_free(kWorkers + 1);
  std::mutex mutex;
  std::vector<size_t> rows_of_runs;
  std::atomic<bool> meet = true;
  ScoreQueue queue(
      spec_,
      [&](std::span<const float> features, size_t rows) {
        if (meet) {
          all_busy.arrive_and_wait();
          all_free.arrive_and_wait();
        }
        const std::lock_guard lock(mutex);
        rows_of_runs.push_back(rows);
        return SampleScores(features, rows);
      },
      metrics_.domain(0), {.max_batch = 8}, pool);
  std::vector<std::unique_ptr<FakeCall>> calls;
  // Each worker meets the others within its first run: so they run at the same time.
  for (size_t i = 0; i < kWorkers; ++i) {
    calls.push_back(std::make_unique<FakeCall>(1));
    ASSERT_THAT(queue.Submit(calls.back().get()), IsOk());
  }
  all_busy.arrive_and_wait();
  meet = false;
  for (size_t i = 0; i < 8; ++i) {
    calls.push_back(std::make_unique<FakeCall>(1));
    ASSERT_THAT(queue.Submit(calls.back().get()), IsOk());
  }
  all_free.arrive_and_wait();
  pool.Stop();
  for (const auto& call : calls) {
    ASSERT_TRUE(call->answer.has_value());
    EXPECT_THAT(*call->answer, IsOk());
  }
  EXPECT_EQ(std::ranges::count(rows_of_runs, 1U) >= static_cast<std::ptrdiff_t>(kWorkers), true);
}

TEST_F(ScoreQueueTest, DomainsTakeTurnsOnOneWorker) {
  ScorePool pool({.workers = 1});
  std::latch started(1), release(1);
  std::string order;  // Of the one worker; read after it is joined.
  const auto scorer = [&](char name) {
    return [&, name](std::span<const float> features, size_t rows) {
      order += name;
      if (order.size() == 1) {
        started.count_down();
        release.wait();
      }
      return SampleScores(features, rows);
    };
  };
  ScoreQueue flood(spec_, scorer('f'), metrics_.domain(0), {.max_batch = 1}, pool);
  ScoreQueue quiet(spec_, scorer('q'), metrics_.domain(0), {.max_batch = 1}, pool);
  std::vector<std::unique_ptr<FakeCall>> calls;
  const auto submit = [&](ScoreQueue& queue) {
    calls.push_back(std::make_unique<FakeCall>(1));
    ASSERT_THAT(queue.Submit(calls.back().get()), IsOk());
  };
  submit(flood);
  started.wait();
  for (int i = 0; i < 4; ++i) submit(flood);
  submit(quiet);
  release.count_down();
  pool.Stop();
  EXPECT_EQ(order, "ffqfff");
}

}  // namespace
}  // namespace orchard::experts::internal
