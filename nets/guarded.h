#pragma once

#include <exception>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include <c10/util/Exception.h>

namespace orchard::nets {

/// Where the exceptions of LibTorch and oneDNN end: calls `call` and returns what it returns (an
/// absl::Status or an absl::StatusOr). Errors: INTERNAL with `what` and the library's message.
template <typename Call>
std::invoke_result_t<Call> Guarded(const std::string& what, const Call& call) {
  try {
    return call();
  } catch (const c10::Error& error) {
    return absl::InternalError(absl::StrCat(what, ": ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace orchard::nets
