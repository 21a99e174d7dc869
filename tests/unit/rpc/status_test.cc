#include "rpc/status.h"

#include <map>
#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::rpc {
namespace {

using ::orchard::testing::StatusIs;
using ::testing::EndsWith;

TEST(StatusTest, EveryCodeButCancelledComesBackAsItWas) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status sent(static_cast<absl::StatusCode>(code), "why");
    const absl::Status got = FromGrpc(ToGrpc(sent));
    if (code == static_cast<int>(absl::StatusCode::kCancelled)) continue;
    EXPECT_EQ(got, sent) << code;
  }
}

TEST(StatusTest, OurHandlersNeverSayCancelled) {
  const grpc::Status status = ToGrpc(absl::CancelledError("the expert went away"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the expert went away");
}

TEST(StatusTest, CancelledFromTheWireStaysCancelled) {
  EXPECT_THAT(FromGrpc({grpc::StatusCode::CANCELLED, "dying"}),
              StatusIs(absl::StatusCode::kCancelled, "dying"));
}

TEST(StatusTest, ACodeThatNobodyKnowsIsUnknown) {
  EXPECT_THAT(FromGrpc({static_cast<grpc::StatusCode>(17), "odd"}),
              StatusIs(absl::StatusCode::kUnknown, "odd"));
}

TEST(StatusTest, ALongMessageIsCutBetweenLetters) {
  std::string letters = "x";  // One byte, so that no cut falls on a boundary by luck.
  while (letters.size() < 9000) letters += "\xc3\xa9";
  const std::string message = ToGrpc(absl::InternalError(letters)).error_message();
  EXPECT_LE(message.size(), 2048u);
  EXPECT_GT(message.size(), 2040u);
  EXPECT_THAT(message, EndsWith("\xc3\xa9 ..."));
}

TEST(CodeNameTest, IsAbseilsForEveryCode) {
  for (int code = 0; code <= 16; ++code) {
    const auto known = static_cast<absl::StatusCode>(code);
    EXPECT_EQ(CodeName(known), absl::StatusCodeToString(known)) << code;
  }
  EXPECT_EQ(CodeName(static_cast<absl::StatusCode>(17)), "UNKNOWN");
  EXPECT_EQ(CodeName(static_cast<absl::StatusCode>(-1)), "UNKNOWN");
}

TEST(ErrorInfoTest, CrossesTheWire) {
  const absl::Status sent = WithErrorInfo(absl::UnavailableError("no expert answered"), kNoExpert,
                                          {{"domain", "apple"}, {"model", "orchard"}});
  const grpc::Status wire = ToGrpc(sent);
  EXPECT_EQ(wire.error_message(), "no expert answered");
  EXPECT_EQ(
      ErrorInfoOf(FromGrpc(wire)),
      (ErrorInfo{.reason = "NO_EXPERT", .metadata = {{"domain", "apple"}, {"model", "orchard"}}}));
}

TEST(ErrorInfoTest, TheLastOneCounts) {
  const absl::Status status =
      WithErrorInfo(WithErrorInfo(absl::UnavailableError("why"), "FIRST", {{"a", "b"}}), "SECOND");
  EXPECT_EQ(ErrorInfoOf(status), (ErrorInfo{.reason = "SECOND", .metadata = {}}));
}

TEST(ErrorInfoTest, IsNeitherOnOkNorOnAPlainError) {
  EXPECT_TRUE(WithErrorInfo(absl::OkStatus(), kNoExpert).ok());
  EXPECT_EQ(ErrorInfoOf(WithErrorInfo(absl::OkStatus(), kNoExpert)), std::nullopt);
  EXPECT_EQ(ErrorInfoOf(absl::UnavailableError("why")), std::nullopt);
  EXPECT_EQ(ToGrpc(absl::UnavailableError("why")).error_details(), "");
}

TEST(ErrorInfoTest, GarbageAndForeignDomainsAreNothing) {
  EXPECT_EQ(ErrorInfoOf(FromGrpc({grpc::StatusCode::UNAVAILABLE, "why", "\xff\xff garbage"})),
            std::nullopt);
  absl::Status foreign = absl::UnavailableError("why");
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(kNoExpert));
  info.set_domain("elsewhere.example");
  foreign.SetPayload("type.googleapis.com/google.rpc.ErrorInfo",
                     absl::Cord(info.SerializeAsString()));
  EXPECT_EQ(ErrorInfoOf(foreign), std::nullopt);
}

TEST(ErrorInfoTest, ATrailerNeverGrowsBeyondWhatGrpcTakes) {
  std::map<std::string, std::string> metadata;
  for (int i = 0; i < 5; ++i) metadata[std::to_string(i)] = std::string(10'000, 'x');
  const absl::Status sent =
      WithErrorInfo(absl::InternalError(std::string(10'000, 'y')), "LONG", metadata);
  const grpc::Status wire = ToGrpc(sent);
  EXPECT_LE(wire.error_message().size() + wire.error_details().size(), 4096U);
  EXPECT_EQ(ErrorInfoOf(FromGrpc(wire))->reason, "LONG");
  for (int i = 5; i < 50; ++i) metadata[std::to_string(i)] = std::string(200, 'x');
  EXPECT_EQ(ToGrpc(WithErrorInfo(sent, "LONGER", metadata)).error_details(), "");
}

TEST(PushbackTest, OnlyPatienceComesBackFromTheWire) {
  using std::chrono::milliseconds;
  const absl::Status full = absl::ResourceExhaustedError("full");
  EXPECT_EQ(PushbackOf(full), std::nullopt);
  EXPECT_EQ(PushbackOf(WithPushback(full, milliseconds(1250))), milliseconds(1250));
  EXPECT_EQ(PushbackOf(WithPushback(full, milliseconds(-1))), milliseconds(-1));
  EXPECT_EQ(PushbackOf(FromGrpc(ToGrpc(WithPushback(full, milliseconds(1250))))),
            milliseconds(1250));
  EXPECT_EQ(PushbackOf(FromGrpc(ToGrpc(WithPushback(full, milliseconds(-1))))), std::nullopt);
}

}  // namespace
}  // namespace orchard::rpc
