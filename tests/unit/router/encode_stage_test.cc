#include "router/encode_stage.h"

#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <ostream>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "router/estimates.h"
#include "router/metrics.h"
#include "router/observers.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using ::testing::ElementsAre;
using testing::kSmallDomains;
using namespace std::chrono_literals;

/// A forward pass: its pictures, and how many the stage said were in passes.
struct Pass {
  size_t pictures;
  size_t encoding;
  bool operator==(const Pass&) const = default;
};
void PrintTo(const Pass& pass, std::ostream* out) {
  *out << pass.pictures << " of " << pass.encoding;
}

/// An encode stage whose passes of several pictures fail. What comes while its one worker is busy
/// with a first picture, whose pass fails as well, is one micro-batch.
class FailedPassTest : public ::testing::Test {
 protected:
  FailedPassTest()
      : model_(line_.SecondModel("failing", [this](std::span<const std::uint8_t> pixels,
                                                   size_t rows) { return Encode(pixels, rows); })),
        stage_({}, estimates_, metrics_, [](const Encoded&, std::vector<RequestPtr> batch) {
          for (const RequestPtr& request : batch) request->Finish(Classification{});
        }) {}
  ~FailedPassTest() override { Release(); }

  void Release() {
    if (!release_.try_wait()) release_.count_down();
  }

  std::future<absl::Status> Submit(std::stop_token cancelled = {}) {
    auto promise = std::make_shared<std::promise<absl::Status>>();  // Owned by the callback.
    std::future<absl::Status> ended = promise->get_future();
    const Clock::time_point now = Clock::now();
    auto request =
        std::make_unique<Request>(model_, "", Options{}, now, now + 1h, observers_,
                                  [promise](const absl::StatusOr<Classification>& answer) {
                                    promise->set_value(answer.status());
                                  });
    request->pixels = {1, 0, 0};
    request->cancelled = std::move(cancelled);
    EXPECT_THAT(stage_.Submit(std::move(request)), IsOk());
    return ended;
  }

  /// Until the worker is busy with the first one.
  std::future<absl::Status> SubmitFirst() {
    auto first = Submit();
    started_.wait();
    return first;
  }

  testing::Line line_;
  const Observers observers_;
  prometheus::Registry registry_;
  Metrics metrics_{registry_};
  Estimates estimates_{{}, std::vector<size_t>{kSmallDomains, kSmallDomains}};
  std::latch started_{1}, release_{1};
  std::vector<Pass> passes_;                 // The one worker's, while it is busy.
  std::function<void(size_t pass)> during_;  // Each pass after the first, counted from 1.
  const std::shared_ptr<ServedModel> model_;
  EncodeStage stage_;  // Last: its worker uses the rest.

 private:
  absl::StatusOr<Encoded> Encode(std::span<const std::uint8_t> pixels, size_t rows) {
    passes_.push_back({.pictures = rows, .encoding = stage_.Encoding()});
    const size_t pass = passes_.size() - 1;
    if (pass == 0) {
      started_.count_down();
      release_.wait();
    } else if (during_) {
      during_(pass);
    }
    if (pass == 0 || rows > 1) return absl::InternalError("out of luck");
    return line_.EncodeReds(pixels, rows);
  }
};

TEST_F(FailedPassTest, WhatIsStillToHaveItsOwnPassIsNoLessInProgress) {
  auto first = SubmitFirst();
  std::vector<std::future<absl::Status>> batch;
  for (int i = 0; i < 3; ++i) batch.push_back(Submit());
  Release();
  EXPECT_EQ(first.get().code(), absl::StatusCode::kInternal);
  for (std::future<absl::Status>& ended : batch) EXPECT_THAT(ended.get(), IsOk());
  EXPECT_EQ(stage_.Encoding(), 0U);
  EXPECT_THAT(passes_, ElementsAre(Pass{1, 1}, Pass{3, 3}, Pass{1, 3}, Pass{1, 2}, Pass{1, 1}));
}

TEST_F(FailedPassTest, WhoHasGoneBeforeItsOwnPassHasNone) {
  std::stop_source caller;
  during_ = [&](size_t pass) {
    if (pass == 2) caller.request_stop();
  };
  auto first = SubmitFirst();
  auto stays = Submit();
  auto goes = Submit(caller.get_token());
  auto stays_too = Submit();
  Release();
  EXPECT_THAT(stays.get(), IsOk());
  EXPECT_EQ(goes.get().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(stays_too.get(), IsOk());
  EXPECT_EQ(stage_.Encoding(), 0U);
  EXPECT_THAT(passes_, ElementsAre(Pass{1, 1}, Pass{3, 3}, Pass{1, 3}, Pass{1, 1}));
}

TEST_F(FailedPassTest, ItsPicturesOwnPassesAreLearnedFrom) {
  auto first = SubmitFirst();
  auto second = Submit();
  auto third = Submit();
  EXPECT_EQ(estimates_.FromEncode(1), 0ns);
  Release();
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(third.get(), IsOk());
  EXPECT_GT(estimates_.FromEncode(1), 0ns);
}

}  // namespace
}  // namespace orchard::router
