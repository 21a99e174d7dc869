#pragma once

#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <c10/util/Exception.h>

namespace orchard::nets {

/// What an exception of LibTorch means. Its allocators throw no bad_alloc: they are told by their
/// words, those of the CPU ("can't allocate memory") and of a GPU ("out of memory").
inline absl::Status StatusOf(const std::string& what, const c10::Error& error) {
  const std::string words = absl::StrCat(what, ": ", error.what_without_backtrace());
  const bool no_memory = absl::StrContains(words, "can't allocate memory") ||
                         absl::StrContains(words, "out of memory");
  return no_memory ? absl::ResourceExhaustedError(words) : absl::InternalError(words);
}

/// Where the exceptions of LibTorch and oneDNN end: calls `call` and returns what it returns (an
/// absl::Status or an absl::StatusOr). Errors: INTERNAL with `what` and the library's message;
/// RESOURCE_EXHAUSTED without memory, so that fewer rows at a time may be tried.
template <typename Call>
std::invoke_result_t<Call> Guarded(const std::string& what, const Call& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(what, ": no memory"));
  } catch (const c10::Error& error) {
    return StatusOf(what, error);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace orchard::nets
