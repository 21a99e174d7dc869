#include "core/status.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::core {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;

TEST(AnnotateTest, PutsTheContextBeforeTheMessageAndKeepsTheCode) {
  EXPECT_THAT(Annotate(absl::NotFoundError("no such file"), "manifest.json"),
              StatusIs(absl::StatusCode::kNotFound, "manifest.json: no such file"));
}

TEST(AnnotateTest, KeepsThePayloads) {
  absl::Status status = absl::UnavailableError("nobody");
  status.SetPayload("type.googleapis.com/x", absl::Cord("why"));
  EXPECT_EQ(Annotate(status, "apple").GetPayload("type.googleapis.com/x"), absl::Cord("why"));
}

TEST(AnnotateTest, LeavesOkAlone) { EXPECT_THAT(Annotate(absl::OkStatus(), "context"), IsOk()); }

/// Counts how often it got past the macro.
absl::Status ReturnIfError(const absl::Status& status, int& passed) {
  ORCHARD_RETURN_IF_ERROR(status);
  ++passed;
  return absl::OkStatus();
}

TEST(ReturnIfErrorTest, ReturnsAnErrorAndGoesOnWithoutOne) {
  int passed = 0;
  EXPECT_THAT(ReturnIfError(absl::OkStatus(), passed), IsOk());
  EXPECT_EQ(passed, 1);
  EXPECT_THAT(ReturnIfError(absl::InternalError("broken"), passed),
              StatusIs(absl::StatusCode::kInternal, "broken"));
  EXPECT_EQ(passed, 1);
}

absl::StatusOr<std::unique_ptr<int>> Give(absl::Status status, int value) {
  if (!status.ok()) return status;
  return std::make_unique<int>(value);
}

/// Two uses in one scope, of a type that only moves.
absl::StatusOr<int> Add(const absl::Status& first, const absl::Status& second) {
  ORCHARD_ASSIGN_OR_RETURN(const std::unique_ptr<int> a, Give(first, 2));
  ORCHARD_ASSIGN_OR_RETURN(const std::unique_ptr<int> b, Give(second, 3));
  return *a + *b;
}

TEST(AssignOrReturnTest, AssignsTheValueOrReturnsTheStatus) {
  EXPECT_THAT(Add(absl::OkStatus(), absl::OkStatus()), IsOkAndHolds(5));
  EXPECT_THAT(Add(absl::AbortedError("first"), absl::AbortedError("second")),
              StatusIs(absl::StatusCode::kAborted, "first"));
  EXPECT_THAT(Add(absl::OkStatus(), absl::AbortedError("second")),
              StatusIs(absl::StatusCode::kAborted, "second"));
}

}  // namespace
}  // namespace orchard::core
