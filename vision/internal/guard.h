#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

/// \file
/// No picture ends the process: where foreign bytes come in, exceptions become statuses.

namespace orchard::vision::internal {

/// What `work()` gives: a status, or a StatusOr. Throws nothing that is a std::exception (those of
/// OpenCV are): without memory the answer is RESOURCE_EXHAUSTED, else INTERNAL with the exception's
/// words, because what is wrong with a picture is told by statuses, and all else is our mistake.
template <typename Work>
auto WithoutThrowing(std::string_view what, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(std::string(what), ": no memory"));
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat(std::string(what), " failed: ", e.what()));
  }
}

}  // namespace orchard::vision::internal
