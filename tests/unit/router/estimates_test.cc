#include "router/estimates.h"

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/refusal.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;
using namespace std::chrono_literals;

double Ms(Clock::duration duration) { return core::Milliseconds(duration); }

/// Two decoders at 10 ms a picture of 100 kB, two encoders with passes of 5, 8, 11, 14 ms, experts
/// at 1 ms.
void Teach(Estimates& estimates) {
  for (int i = 0; i < 200; ++i) {
    const auto pictures = static_cast<size_t>(i % 4 + 1);
    estimates.Decoded(100'000, 10ms);
    estimates.Encoded(pictures, 2ms + 3ms * pictures);
    estimates.Answered(0, 1ms);
  }
}

constexpr Estimates::Workers kWorkers{.decode = 2, .encode = 2, .max_batch = 4};

struct WaitCase {
  std::string name;
  Backlog backlog;
  double want;  // ms, besides its own 10 + 5 + 1
};

void PrintTo(const WaitCase& wait, std::ostream* out) { *out << wait.name; }

class EstimatesWaitTest : public ::testing::TestWithParam<WaitCase> {};

TEST_P(EstimatesWaitTest, CountsWhatWaitsAndWhatIsWorkedOn) {
  Estimates estimates(kWorkers, 2);
  Teach(estimates);
  const Needed needed = estimates.OfNew(GetParam().backlog, 100'000);
  EXPECT_NEAR(Ms(needed.own), 16.0, 0.5);
  EXPECT_NEAR(Ms(needed.waiting), GetParam().want, GetParam().want * 0.05 + 0.2);
}

INSTANTIATE_TEST_SUITE_P(
    Table, EstimatesWaitTest,
    ::testing::Values(
        WaitCase{"Nobody", {}, 0.0}, WaitCase{"ADecoderIsFree", {.decoding = 1}, 0.0},
        WaitCase{"BothDecode", {.decoding = 2}, 5.0},  // Half of each is done.
        WaitCase{"TenWait",
                 {.waiting = 10, .waiting_bytes = 1e6, .decoding = 2},
                 50.0 + 5.0 + 9.0},  // And it shares its pass: 14 ms instead of 5.
        WaitCase{"TenLargeWait",
                 {.waiting = 10, .waiting_bytes = 10e6, .decoding = 2},
                 500.0 + 5.0 + 9.0},
        // 100 pictures in passes of four on two workers: 12.5 × 14 ms, of which its decoding covers
        // ten.
        WaitCase{"ManyAreDecoded", {.decoded = 100}, 175.0 - 10.0 + 9.0},
        // Half of a pass each is less than its own decoding; with eight decoded, 1.5 × 14 ms.
        WaitCase{"BothEncode", {.encoding = 8}, 0.0},
        WaitCase{"BothEncodeAndEightAreDecoded", {.decoded = 8, .encoding = 8}, 21.0 - 10.0 + 9.0}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(EstimatesTest, NothingIsRefusedBeforeAnythingIsKnown) {
  const Estimates estimates(kWorkers, 2);
  EXPECT_EQ(estimates.OfNew({.waiting = 200, .waiting_bytes = 2e7, .decoding = 2}, 1000).all(),
            0ns);
}

// The slow domain of one in two pictures cost every picture its deadline.
TEST(EstimatesTest, ASlowDomainIsNotInAnothersWay) {
  Estimates estimates(kWorkers, 2);
  Teach(estimates);
  for (int i = 0; i < 100; ++i) {
    estimates.Answered(0, 1ms);
    estimates.Answered(1, 3s);
  }
  EXPECT_LT(estimates.OfNew({}, 100'000).all(), 20ms);
}

TEST(EstimatesTest, WaitsThatProveLongerGetAMarginAndOwnTimeNone) {
  Estimates estimates(kWorkers, 2);
  Teach(estimates);
  const Backlog backlog{.waiting = 10, .waiting_bytes = 1e6, .decoding = 2};
  const Needed before = estimates.OfNew(backlog, 100'000);
  for (int i = 0; i < 200; ++i) estimates.Waited(100ms, 130ms);
  const Needed after = estimates.OfNew(backlog, 100'000);
  EXPECT_NEAR(Ms(after.waiting) / Ms(before.waiting), 1.3, 0.05);
  EXPECT_EQ(after.own, before.own);
  for (int i = 0; i < 200; ++i) estimates.Waited(100ms, 1000ms);
  EXPECT_NEAR(Ms(estimates.OfNew(backlog, 100'000).waiting) / Ms(before.waiting), 2.0, 0.01);
  for (int i = 0; i < 400; ++i) estimates.Waited(100ms, 50ms);
  EXPECT_NEAR(Ms(estimates.OfNew(backlog, 100'000).waiting), Ms(before.waiting), 0.5);
}

// What was asked of it in advance was once more than a large picture needed.
TEST(EstimatesTest, AnUnseenPictureNeedsAsMuchAsTheOneThatNeedsTheLeast) {
  constexpr size_t kLargest = 10'000'000;
  Estimates estimates(kWorkers, std::vector<size_t>{2, 2});
  Teach(estimates);
  for (int i = 0; i < 200; ++i) estimates.Answered(0, 500ms, /*model=*/1);
  for (const Clock::duration waited : {100ms, 130ms, 200ms}) {  // The margin: 1 to 2.
    for (int i = 0; i < 200; ++i) estimates.Waited(100ms, waited);
    for (const Backlog& backlog :
         {Backlog{}, Backlog{.waiting = 10, .waiting_bytes = 1e6, .decoding = 2},
          Backlog{.decoded = 100}, Backlog{.waiting = 1, .waiting_bytes = 1e5, .decoded = 30},
          Backlog{.decoded = 10'000}}) {
      const double unseen = Ms(estimates.OfUnseen(backlog, kLargest).all());
      double least = 1e9;
      for (size_t bytes = 1; bytes <= kLargest; bytes = bytes * 101 / 100 + 1) {
        least = std::min(least, Ms(estimates.OfNew(backlog, bytes).all()));
      }
      least = std::min(least, Ms(estimates.OfNew(backlog, kLargest).all()));
      EXPECT_LE(unseen, least + 1e-3) << backlog.decoded;
      EXPECT_GE(unseen, least * 0.98) << backlog.decoded;
    }
  }
}

TEST(EstimatesTest, RefusalsOfALoneRequestLowerThem) {
  Estimates estimates(kWorkers, 2);
  estimates.Decoded(1000, 10s);
  const Clock::time_point now = Clock::now();
  int refused = 0;
  while (!CheckBudget(now, now + 100ms, estimates.OfNew({}, 1000).all()).ok() && refused < 1000) {
    estimates.Refused();
    ++refused;
  }
  EXPECT_LT(refused, 50);
}

TEST(EstimatesTest, WhatIsLeftShrinksFromStageToStage) {
  Estimates estimates(kWorkers, 2);
  Teach(estimates);
  EXPECT_NEAR(Ms(estimates.FromDecode(100'000)), 16.0, 0.5);
  EXPECT_NEAR(Ms(estimates.FromEncode(1)), 6.0, 0.5);
  EXPECT_NEAR(Ms(estimates.FromEncode(4)), 15.0, 0.5);
}

TEST(CheckBudgetTest, SaysWhatIsLeftAndWhatIsNeeded) {
  const Clock::time_point now = Clock::now();
  EXPECT_THAT(CheckBudget(now, now + 20ms, 20ms), IsOk());
  const absl::Status status = CheckBudget(now, now + 20ms, 30ms);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded,
                               AllOf(HasSubstr("20.0 ms"), HasSubstr("30.0 ms"))));
  EXPECT_THAT(ShedBy(status), Optional(Shed::kDeadline));
  EXPECT_THAT(CheckBudget(now, now - 5ms, 0ms),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("5.0 ms ago")));
}

// No model's slow experts refuse the pictures of another one.
TEST(EstimatesTest, ExpertsAreLearnedByModel) {
  Estimates estimates(kWorkers, std::vector<size_t>{2, 2});
  Teach(estimates);  // the first
  for (int i = 0; i < 200; ++i) estimates.Answered(0, 500ms, /*model=*/1);
  EXPECT_NEAR(Ms(estimates.OfNew({}, 100'000, 0).own), 16.0, 0.5);
  EXPECT_NEAR(Ms(estimates.OfNew({}, 100'000, 1).own), 515.0, 0.5);
  EXPECT_NEAR(Ms(estimates.OfExperts(1)), 500.0, 0.5);
  EXPECT_NEAR(estimates.figures().experts_seconds, 0.5, 1e-3) << "of the slowest";
}

}  // namespace
}  // namespace orchard::router
