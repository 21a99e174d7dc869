#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

/// \file
/// No picture and no call ends the process: where foreign bytes come in, and where memory is taken
/// in the measure of a picture or of a call's rows, exceptions become statuses.
///
/// Nothing on the path of a request catches what is thrown further in: an exception that leaves a
/// worker ends the process, and all other requests with it. So whatever may take megabytes is
/// wrapped, and costs the one request that wanted them. What takes a few hundred bytes (a list of
/// rows, a line of the log) is not: it does not run dry before the large ones do, and gRPC and
/// protobuf, whose code is between ours, end the process without it as well.

namespace orchard::core {

/// What `work()` gives: a status, or a StatusOr. Throws nothing that is a std::exception (those of
/// OpenCV and LibTorch are): without memory the answer is RESOURCE_EXHAUSTED, else INTERNAL with
/// the exception's words, because what is wrong with an input is told by statuses, and all else is
/// our mistake.
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

}  // namespace orchard::core
