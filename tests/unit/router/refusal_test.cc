#include "router/refusal.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/status.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::StatusIs;
using ::testing::Optional;
using namespace std::chrono_literals;

TEST(RefusalTest, SaysWhichLimitAndWhenThereIsRoom) {
  const absl::Status status = Refusal(Shed::kBytes, "too much", 1234567us);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, "too much"));
  EXPECT_THAT(ShedBy(status), Optional(Shed::kBytes));
  EXPECT_THAT(rpc::PushbackOf(status), Optional(1235ms));
}

TEST(RefusalTest, ComingAgainIsNeverAtOnceAndNeverTooFarAway) {
  EXPECT_THAT(rpc::PushbackOf(Refusal(Shed::kQueue, "full", 0ms)), Optional(10ms));
  EXPECT_THAT(rpc::PushbackOf(Refusal(Shed::kQueue, "full", 1h)), Optional(10s));
}

TEST(RefusalTest, ADeadlineThatCantBeKeptIsNotToBeTriedAgain) {
  const absl::Status status = Refusal(Shed::kDeadline, "late", 50ms);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded, "late"));
  EXPECT_THAT(ShedBy(status), Optional(Shed::kDeadline));
  EXPECT_EQ(rpc::PushbackOf(status), std::nullopt);
}

TEST(RefusalTest, OtherErrorsAreNoRefusals) {
  EXPECT_EQ(ShedBy(absl::ResourceExhaustedError("x")), std::nullopt);
  EXPECT_EQ(rpc::PushbackOf(absl::OkStatus()), std::nullopt);
}

TEST(RefusalTest, EveryReasonHasItsOwnName) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kSheds; ++i) {
    const auto reason = static_cast<Shed>(i);
    names.insert(Name(reason));
    EXPECT_THAT(ShedBy(Refusal(reason, "m", 1ms)), Optional(reason));
  }
  EXPECT_EQ(names.size(), kSheds);
}

}  // namespace
}  // namespace orchard::router
