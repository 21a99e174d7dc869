#include "router/errors.h"

#include <gtest/gtest.h>

#include "rpc/status.h"

namespace orchard::router {
namespace {

using namespace std::chrono_literals;

const core::TraceContext kTrace{.trace_high = 1, .trace_low = 2, .span = 3};
constexpr char kTraceId[] = "00000000000000010000000000000002";

TEST(ErrorsTest, EveryErrorHasAReasonAndTheIdsOfItsRequest) {
  const std::map<absl::StatusCode, std::string> reasons = {
      {absl::StatusCode::kInvalidArgument, "INVALID"},
      {absl::StatusCode::kResourceExhausted, "OVERLOADED"},
      {absl::StatusCode::kDeadlineExceeded, "DEADLINE"},
      {absl::StatusCode::kUnavailable, "DRAINING"},
      {absl::StatusCode::kCancelled, "DRAINING"},
      {absl::StatusCode::kFailedPrecondition, "FOREIGN"},
      {absl::StatusCode::kInternal, "INTERNAL"}};
  for (const auto& [code, reason] : reasons) {
    const absl::Status told = ForCaller(absl::Status(code, "why"), "r1", kTrace);
    EXPECT_EQ(told.code(), code);
    EXPECT_EQ(told.message(), "why");
    const auto info = rpc::ErrorInfoOf(told);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->reason, reason);
    EXPECT_EQ(info->metadata.at("request_id"), "r1");
    EXPECT_EQ(info->metadata.at("trace_id"), kTraceId);
  }
}

TEST(ErrorsTest, NothingIsAddedToSuccess) {
  EXPECT_TRUE(ForCaller(absl::OkStatus(), "r1", kTrace).ok());
}

TEST(ErrorsTest, OnlyOverloadAsksForPatience) {
  EXPECT_EQ(rpc::PushbackOf(ForCaller(absl::ResourceExhaustedError("full"), "r", kTrace)),
            kPushback);
  EXPECT_FALSE(rpc::PushbackOf(ForCaller(absl::InvalidArgumentError("x"), "r", kTrace)));
}

TEST(ErrorsTest, NoExpertNamesTheDomainsAndSaysNotToAskAgain) {
  const absl::Status told =
      ForCaller(NoExpertError("no expert answered: fruit is down", "fruit,leaf"), "r1", kTrace);
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  const auto info = rpc::ErrorInfoOf(told);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason, "NO_EXPERT");
  EXPECT_EQ(info->metadata.at("domains"), "fruit,leaf");
  EXPECT_EQ(info->metadata.at("trace_id"), kTraceId);
  EXPECT_EQ(rpc::PushbackOf(told), -1ms);
}

TEST(ErrorsTest, AStreamIsToldTheSame) {
  const v1::CallError full =
      ToCallError(ForCaller(absl::ResourceExhaustedError("full"), "r", kTrace));
  EXPECT_EQ(full.code(), 8);
  EXPECT_EQ(full.message(), "full");
  EXPECT_EQ(full.retry_pushback_ms(), kPushback.count());
  EXPECT_EQ(full.reason(), "OVERLOADED");
  EXPECT_EQ(full.trace_id(), kTraceId);
  const v1::CallError nobody = ToCallError(ForCaller(NoExpertError("x", "fruit"), "r", kTrace));
  EXPECT_EQ(nobody.code(), 14);
  EXPECT_EQ(nobody.retry_pushback_ms(), -1);
  EXPECT_EQ(nobody.reason(), "NO_EXPERT");
}

}  // namespace
}  // namespace orchard::router
