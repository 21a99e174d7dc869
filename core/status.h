#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// \file
/// How errors travel: absl::Status and absl::StatusOr, passed upwards with two macros (Debian's
/// abseil predates abseil's own). Exceptions end in the one wrapper of the library that throws.

/// Evaluates `expression` (an absl::Status); returns it from the function when it is not OK.
#define ORCHARD_RETURN_IF_ERROR(expression)                                   \
  do {                                                                        \
    if (::absl::Status orchard_status = (expression); !orchard_status.ok()) { \
      return orchard_status;                                                  \
    }                                                                         \
  } while (false)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration can't stand in parentheses.
#define ORCHARD_STATUS_JOIN_INNER(a, b) a##b
#define ORCHARD_STATUS_JOIN(a, b) ORCHARD_STATUS_JOIN_INNER(a, b)
#define ORCHARD_ASSIGN_OR_RETURN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                           \
  if (!temporary.ok()) return std::move(temporary).status();               \
  declaration = *std::move(temporary)
// NOLINTEND(bugprone-macro-parentheses)
/// Evaluates `expression` (an absl::StatusOr); returns its status when it is not OK, otherwise
/// assigns its value: ORCHARD_ASSIGN_OR_RETURN(const Image image, Decode(bytes));
#define ORCHARD_ASSIGN_OR_RETURN(declaration, expression)                                        \
  ORCHARD_ASSIGN_OR_RETURN_INNER(ORCHARD_STATUS_JOIN(orchard_status_or_, __LINE__), declaration, \
                                 expression)

namespace orchard::core {

/// The same code and payloads with `context` and ": " before the message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace orchard::core
