#include "server/allocator.h"

#include <algorithm>
#include <limits>
#include <malloc.h>

#include "absl/strings/str_cat.h"

namespace orchard::server {
namespace {

absl::Status Set(int parameter, const char* name, size_t value) {
  // mallopt takes an int; larger values would turn negative.
  constexpr size_t kMost = std::numeric_limits<int>::max();
  const int number = static_cast<int>(std::min(value, kMost));
  if (mallopt(parameter, number) == 1) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("malloc refused ", name, " = ", number));
}

}  // namespace

absl::Status TuneAllocator(const AllocatorOptions& options) {
  absl::Status status = Set(M_MMAP_THRESHOLD, "M_MMAP_THRESHOLD", options.mmap_threshold);
  status.Update(Set(M_TRIM_THRESHOLD, "M_TRIM_THRESHOLD", options.trim_threshold));
  status.Update(Set(M_TOP_PAD, "M_TOP_PAD", options.top_pad));
  return status;
}

}  // namespace orchard::server
