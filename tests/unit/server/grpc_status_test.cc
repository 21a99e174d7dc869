#include "server/grpc_status.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::StatusIs;
using ::testing::EndsWith;

TEST(GrpcStatusTest, EveryCodeButCancelledComesBackAsItWas) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status sent(static_cast<absl::StatusCode>(code), "why");
    const absl::Status got = FromGrpc(ToGrpc(sent));
    if (code == static_cast<int>(absl::StatusCode::kCancelled)) continue;
    EXPECT_EQ(got, sent) << code;
  }
}

TEST(GrpcStatusTest, OurHandlersNeverSayCancelled) {
  const grpc::Status status = ToGrpc(absl::CancelledError("the expert went away"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the expert went away");
}

TEST(GrpcStatusTest, CancelledFromTheWireStaysCancelled) {
  EXPECT_THAT(FromGrpc({grpc::StatusCode::CANCELLED, "dying"}),
              StatusIs(absl::StatusCode::kCancelled, "dying"));
}

TEST(GrpcStatusTest, ACodeThatNobodyKnowsIsUnknown) {
  EXPECT_THAT(FromGrpc({static_cast<grpc::StatusCode>(17), "odd"}),
              StatusIs(absl::StatusCode::kUnknown, "odd"));
}

TEST(GrpcStatusTest, ALongMessageIsCutBetweenLetters) {
  std::string letters = "x";  // One byte, so that no cut falls on a boundary by luck.
  while (letters.size() < 9000) letters += "\xc3\xa9";
  const std::string message = ToGrpc(absl::InternalError(letters)).error_message();
  EXPECT_LE(message.size(), 2048u);
  EXPECT_GT(message.size(), 2040u);
  EXPECT_THAT(message, EndsWith("\xc3\xa9 ..."));
}

}  // namespace
}  // namespace orchard::server
