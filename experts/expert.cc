#include "experts/expert.h"

namespace orchard::experts {

std::string_view Name(MissingReason reason) {
  switch (reason) {
    case MissingReason::kDown:
      return "down";
    case MissingReason::kTimeout:
      return "timeout";
    case MissingReason::kOverloaded:
      return "overloaded";
    case MissingReason::kEjected:
      return "ejected";
    case MissingReason::kForeign:
      return "foreign";
    case MissingReason::kFailed:
      return "failed";
    case MissingReason::kCold:
      return "cold";
  }
  return "failed";
}

MissingReason ReasonOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
      return MissingReason::kDown;
    case absl::StatusCode::kDeadlineExceeded:
      return MissingReason::kTimeout;
    case absl::StatusCode::kResourceExhausted:
      return MissingReason::kOverloaded;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
      return MissingReason::kForeign;
    default:
      return MissingReason::kFailed;
  }
}

}  // namespace orchard::experts
