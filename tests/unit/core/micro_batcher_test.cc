#include "core/micro_batcher.h"

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::core {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Le;

TEST(MicroBatcherTest, TakesAllThatWaitsUpToTheLimitAndInOrder) {
  std::latch first_started(1);
  std::latch release(1);
  std::vector<std::vector<int>> batches;  // Touched by the one worker, read after it is joined.
  {
    MicroBatcher<int> batcher({.max_batch = 3, .workers = 1}, [&](std::vector<int> batch) {
      batches.push_back(std::move(batch));
      if (batches.size() == 1) first_started.count_down();
      release.wait();
    });
    ASSERT_THAT(batcher.Submit(0), IsOk());
    first_started.wait();  // The worker is busy now: whatever comes has to wait.
    for (int i = 1; i <= 4; ++i) ASSERT_THAT(batcher.Submit(int{i}), IsOk());
    EXPECT_EQ(batcher.Waiting(), 4u);
    release.count_down();
  }  // Drains.
  EXPECT_THAT(batches, ElementsAre(ElementsAre(0), ElementsAre(1, 2, 3), ElementsAre(4)));
}

TEST(MicroBatcherTest, ABatchHoldsOnlyWhatMayBeTogether) {
  std::latch first_started(1);
  std::latch release(1);
  std::vector<std::vector<int>> batches;
  {
    MicroBatcher<int> batcher(
        {.max_batch = 3,
         .workers = 1,
         .together = [](const int& a, const int& b) { return a % 2 == b % 2; }},
        [&](std::vector<int> batch) {
          batches.push_back(std::move(batch));
          if (batches.size() == 1) first_started.count_down();
          release.wait();
        });
    ASSERT_THAT(batcher.Submit(0), IsOk());
    first_started.wait();
    for (const int item : {1, 2, 4, 3, 6, 8, 5, 7}) ASSERT_THAT(batcher.Submit(int{item}), IsOk());
    release.count_down();
  }
  // What waits longest leads; the others keep their places.
  EXPECT_THAT(batches, ElementsAre(ElementsAre(0), ElementsAre(1, 3, 5), ElementsAre(2, 4, 6),
                                   ElementsAre(8), ElementsAre(7)));
}

TEST(MicroBatcherTest, AnIdleWorkerDoesNotHoldAnItemBack) {
  std::latch processed(1);
  MicroBatcher<int> batcher({.max_batch = 100, .workers = 1},
                            [&](std::vector<int>) { processed.count_down(); });
  ASSERT_THAT(batcher.Submit(1), IsOk());
  processed.wait();  // One item of a hundred was enough, or this test never ends.
  EXPECT_EQ(batcher.Waiting(), 0u);
}

TEST(MicroBatcherTest, RefusesWhatDoesNotFitAndLeavesItWithTheCaller) {
  std::latch started(1);
  std::latch release(1);
  MicroBatcher<std::unique_ptr<int>> batcher(
      {.name = "encode", .max_batch = 1, .max_waiting = 2, .workers = 1},
      [&](std::vector<std::unique_ptr<int>> batch) {
        if (*batch[0] == 0) started.count_down();
        release.wait();
      });
  ASSERT_THAT(batcher.Submit(std::make_unique<int>(0)), IsOk());
  started.wait();
  ASSERT_THAT(batcher.Submit(std::make_unique<int>(1)), IsOk());
  ASSERT_THAT(batcher.Submit(std::make_unique<int>(2)), IsOk());
  auto refused = std::make_unique<int>(3);
  EXPECT_THAT(
      batcher.Submit(std::move(refused)),
      StatusIs(absl::StatusCode::kResourceExhausted, "encode queue is full: 2 waiting, the limit"));
  ASSERT_NE(refused, nullptr);  // NOLINT(bugprone-use-after-move): that is the promise.
  EXPECT_EQ(*refused, 3);
  release.count_down();
}

TEST(MicroBatcherTest, ProcessesWhatWaitsAndRefusesWhatComesWhileStopping) {
  std::latch started(1);
  std::latch full(1);
  std::vector<int> processed;
  absl::Status late;
  MicroBatcher<int>* raw = nullptr;
  auto batcher = std::make_unique<MicroBatcher<int>>(
      MicroBatcher<int>::Options{.name = "decode", .max_batch = 1, .max_waiting = 3, .workers = 1},
      [&](std::vector<int> batch) {
        processed.push_back(batch[0]);
        if (batch[0] != 0) return;
        started.count_down();
        full.wait();
        // The destructor is on its way; until it has begun, the queue is full.
        do {
          late = raw->Submit(9);
        } while (late.code() == absl::StatusCode::kResourceExhausted);
      });
  raw = batcher.get();
  ASSERT_THAT(batcher->Submit(0), IsOk());
  started.wait();
  for (int i = 1; i <= 3; ++i) ASSERT_THAT(batcher->Submit(int{i}), IsOk());
  full.count_down();
  batcher.reset();
  EXPECT_THAT(late, StatusIs(absl::StatusCode::kUnavailable, "decode is stopping"));
  EXPECT_THAT(processed, ElementsAre(0, 1, 2, 3));
}

TEST(MicroBatcherTest, EveryWorkerIsStartedOnceAndWorksAtTheSameTime) {
  constexpr size_t kWorkers = 3;
  std::atomic<int> prepared = 0;
  std::latch together(kWorkers);
  {
    MicroBatcher<int> batcher(
        {.max_batch = 1, .workers = kWorkers, .start_worker = [&] { ++prepared; }},
        [&](std::vector<int>) { together.arrive_and_wait(); });
    for (size_t i = 0; i < kWorkers; ++i) ASSERT_THAT(batcher.Submit(1), IsOk());
  }  // Ends only if all three met.
  EXPECT_EQ(prepared, kWorkers);
}

TEST(MicroBatcherTest, LosesAndDoublesNothingAmongManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kItems = 2000;
  std::vector<std::atomic<int>> seen(kThreads * kItems);
  std::atomic<size_t> largest = 0;
  {
    MicroBatcher<int> batcher(
        {.max_batch = 8, .max_waiting = 64, .workers = 2}, [&](std::vector<int> batch) {
          size_t now = largest;
          while (now < batch.size() && !largest.compare_exchange_weak(now, batch.size())) {
          }
          for (const int item : batch) ++seen[static_cast<size_t>(item)];
        });
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kItems; ++i) {
          while (!batcher.Submit(t * kItems + i).ok()) std::this_thread::yield();
        }
      });
    }
  }
  for (const std::atomic<int>& times : seen) EXPECT_EQ(times, 1);
  EXPECT_THAT(largest.load(), Le(8u));
}

TEST(MicroBatcherTest, EndsWithoutEverHavingWorked) {
  const MicroBatcher<int> batcher({.workers = 2}, [](std::vector<int>) { FAIL(); });
  EXPECT_EQ(batcher.Waiting(), 0u);
}

}  // namespace
}  // namespace orchard::core
