#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gmock/gmock.h>

/// \file
/// Matchers for absl::Status and absl::StatusOr.

namespace testing::internal {

/// Prints what it holds as GoogleTest prints it. abseil would by <<, which LibTorch 2.6 (Debian 13)
/// declares for every container, also where the elements have none.
template <typename T>
class UniversalPrinter<absl::StatusOr<T>> {
 public:
  static void Print(const absl::StatusOr<T>& value, std::ostream* out) {
    if (value.ok()) {
      UniversalPrint(*value, out);
    } else {
      *out << value.status();
    }
  }
};

}  // namespace testing::internal

namespace orchard::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }

template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

/// The code, and a message that `message` (a matcher of std::string) accepts.
MATCHER_P2(StatusIs, code, message, "has the code and the message") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(message, std::string(StatusOf(arg).message()),
                                       result_listener);
}

/// OK, with a value that `value` accepts.
MATCHER_P(IsOkAndHolds, value, "is OK and holds the value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace orchard::testing
