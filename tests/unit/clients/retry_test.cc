#include "clients/cpp/retry.h"

#include <gtest/gtest.h>

#include "rpc/status.h"

namespace orchard::client {
namespace {

using namespace std::chrono_literals;

TEST(JudgeTest, AServerThatIsGoneSendsTheCallElsewhere) {
  EXPECT_EQ(Judge({.status = absl::UnavailableError("going")}), Next::kElsewhere);
  EXPECT_EQ(Judge({.status = absl::CancelledError("")}), Next::kElsewhere);
  EXPECT_EQ(Judge({.status = absl::UnavailableError("going"), .pushback = 100ms}),
            Next::kElsewhere);
}

TEST(JudgeTest, AServerThatIsBusyIsAskedLater) {
  EXPECT_EQ(Judge({.status = absl::ResourceExhaustedError("full"), .pushback = 0ms}), Next::kLater);
  EXPECT_EQ(Judge({.status = absl::ResourceExhaustedError("full"), .pushback = 9ms}), Next::kLater);
}

TEST(JudgeTest, WhatGrpcItselfRefusesIsNotSentAgainAndAgain) {
  const absl::Status too_large =
      absl::ResourceExhaustedError("Received message larger than max (3000000 vs. 2097152)");
  EXPECT_EQ(Judge({.status = too_large}), Next::kElsewhere);
}

TEST(JudgeTest, WhatIsAboutThePictureOrItsTimeIsTheEnd) {
  for (const absl::Status& status :
       {absl::InvalidArgumentError(""), absl::DeadlineExceededError(""), absl::InternalError(""),
        absl::UnimplementedError(""), absl::PermissionDeniedError("")}) {
    EXPECT_EQ(Judge({.status = status}), Next::kGiveUp) << status;
  }
}

TEST(JudgeTest, ANegativePushbackForbidsToAskAgainWhateverTheCode) {
  EXPECT_EQ(Judge({.status = absl::UnavailableError("x"), .pushback = -1ms}), Next::kGiveUp);
  EXPECT_EQ(Judge({.status = absl::ResourceExhaustedError("x"), .pushback = -1ms}), Next::kGiveUp);
}

TEST(JudgeTest, WhereNoExpertAnsweredNobodyDoesTheWorkAgain) {
  const absl::Status no_expert =
      rpc::WithErrorInfo(absl::UnavailableError("no expert answered"), rpc::kNoExpert);
  EXPECT_EQ(Judge({.status = no_expert}), Next::kGiveUp);
}

TEST(TurnsAwayTest, TheNextCallBeginsElsewhereAlsoAfterSilence) {
  EXPECT_TRUE(TurnsAway(absl::UnavailableError("")));
  EXPECT_TRUE(TurnsAway(absl::CancelledError("")));
  EXPECT_TRUE(TurnsAway(absl::DeadlineExceededError("")));
  EXPECT_FALSE(TurnsAway(absl::OkStatus()));
  EXPECT_FALSE(TurnsAway(absl::InvalidArgumentError("")));
  EXPECT_FALSE(TurnsAway(absl::ResourceExhaustedError("")));
}

TEST(BackoffTest, DoublesUpToASecondAndIsJittered) {
  EXPECT_EQ(Backoff(1, 0.0), 25ms);
  EXPECT_EQ(Backoff(1, 1.0), 50ms);
  EXPECT_EQ(Backoff(2, 1.0), 100ms);
  EXPECT_EQ(Backoff(3, 0.5), 150ms);
  EXPECT_EQ(Backoff(6, 1.0), 1000ms);
  EXPECT_EQ(Backoff(1000, 1.0), 1000ms);
}

}  // namespace
}  // namespace orchard::client
