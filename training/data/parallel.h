#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace orchard::training {

/// Calls `work` with every index below `count` on `threads` threads; the first error ends it, and
/// so does an exception, as INTERNAL. `work` is called by several threads at once.
absl::Status ForEach(size_t count, size_t threads, const std::function<absl::Status(size_t)>& work);

}  // namespace orchard::training
