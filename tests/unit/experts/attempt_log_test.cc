#include "experts/attempt_log.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using core::Clock;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const Clock::time_point kStart{1h};

TEST(AttemptLogTest, HasNothingBeforeTheFirst) {
  EXPECT_THAT(AttemptLog().Snapshot(kStart, absl::StatusCode::kCancelled), IsEmpty());
}

TEST(AttemptLogTest, TellsWhatBecameOfEachAndEndsThoseThatAreOut) {
  AttemptLog log;
  AttemptRecord refused{.kind = AttemptRecord::Kind::kFirst, .endpoint = "a:1", .begin = kStart};
  const size_t number = log.Began(refused);
  log.Began({.kind = AttemptRecord::Kind::kRetry, .endpoint = "b:1", .begin = kStart + 2s});
  refused.end = kStart + 1s;
  refused.code = absl::StatusCode::kResourceExhausted;
  refused.queue = 7ms;
  log.Ended(number, refused);
  const auto seen = log.Snapshot(kStart + 5s, absl::StatusCode::kDeadlineExceeded);
  ASSERT_THAT(seen, SizeIs(2));
  EXPECT_EQ(seen[0].end, kStart + 1s);
  EXPECT_EQ(seen[0].code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(seen[0].queue, 7ms);
  EXPECT_EQ(seen[1].endpoint, "b:1");
  EXPECT_EQ(seen[1].kind, AttemptRecord::Kind::kRetry);
  EXPECT_EQ(seen[1].begin, kStart + 2s);
  EXPECT_EQ(seen[1].end, kStart + 5s);
  EXPECT_EQ(seen[1].code, absl::StatusCode::kDeadlineExceeded);
}

TEST(AttemptLogTest, WhoLooksLaterSeesWhatCameMeanwhile) {
  AttemptLog log;
  AttemptRecord attempt{.endpoint = "a:1", .begin = kStart};
  const size_t number = log.Began(attempt);
  EXPECT_EQ(log.Snapshot(kStart, absl::StatusCode::kCancelled)[0].code,
            absl::StatusCode::kCancelled);
  attempt.end = kStart + 3s;
  log.Ended(number, attempt);
  const auto seen = log.Snapshot(kStart + 9s, absl::StatusCode::kCancelled);
  EXPECT_EQ(seen[0].code, absl::StatusCode::kOk);
  EXPECT_EQ(seen[0].end, kStart + 3s);
}

}  // namespace
}  // namespace orchard::experts
