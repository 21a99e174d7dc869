#include "nets/guarded.h"

#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/testing/status_matchers.h"

namespace orchard::nets {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(GuardedTest, WithoutMemoryItIsNoFaultOfTheNetwork) {
  const absl::Status standard = Guarded("apple", []() -> absl::Status { throw std::bad_alloc(); });
  EXPECT_THAT(standard, StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
  const absl::Status torch = Guarded("apple", [] {
    at::empty({std::int64_t{1} << 58}, at::kFloat);  // an exabyte
    return absl::OkStatus();
  });
  EXPECT_THAT(torch, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("apple: ")));
}

TEST(GuardedTest, AnythingElseIs) {
  const absl::Status shapes = Guarded("apple", [] {
    at::mm(at::zeros({2, 3}), at::zeros({2, 3}));
    return absl::OkStatus();
  });
  EXPECT_THAT(shapes, StatusIs(absl::StatusCode::kInternal, HasSubstr("apple: ")));
  EXPECT_THAT(Guarded("apple", [] { return absl::OkStatus(); }), IsOk());
}

}  // namespace
}  // namespace orchard::nets
