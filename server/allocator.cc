#include "server/allocator.h"

#include <algorithm>
#include <dlfcn.h>
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

bool LimitBlasThreads(int threads) {
  // Looked up and not linked: this folder knows no BLAS, and the alternative may be another one.
  using SetThreads = void (*)(int);
  const auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set == nullptr) return false;
  set(threads);
  return true;
}

}  // namespace orchard::server
