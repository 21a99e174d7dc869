#include "core/without_throwing.h"

#include <stdexcept>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::core {
namespace {

using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<size_t> LengthFrom(std::string_view bytes, size_t offset) {
  return WithoutThrowing("reading", [&]() -> absl::StatusOr<size_t> {
    if (bytes == "no memory") throw std::bad_alloc();
    if (bytes.empty()) return absl::InvalidArgumentError("no bytes");
    return bytes.substr(offset).size();
  });
}

TEST(WithoutThrowingTest, PassesOnWhatTheWorkGives) {
  EXPECT_THAT(LengthFrom("abc", 1), IsOkAndHolds(2U));
  EXPECT_THAT(LengthFrom("", 0), StatusIs(absl::StatusCode::kInvalidArgument, "no bytes"));
}

TEST(WithoutThrowingTest, MakesExceptionsStatuses) {
  EXPECT_THAT(LengthFrom("abc", 4),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("reading failed: "), HasSubstr("substr"))));
  EXPECT_THAT(LengthFrom("no memory", 0),
              StatusIs(absl::StatusCode::kResourceExhausted, "reading: no memory"));
}

}  // namespace
}  // namespace orchard::core
