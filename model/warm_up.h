#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "core/status.h"

namespace orchard::model {

/// Runs what will be asked for once at each of the sizes 1, 2, 4, … and `max_batch`, in this order:
/// LibTorch records in its first run and specialises in its second, oneDNN prepares kernels, memory
/// grows to what the largest size needs. At most 3 · `max_batch` rows in all. Stops at the first
/// error.
inline absl::Status WarmUp(size_t max_batch, absl::FunctionRef<absl::Status(size_t rows)> run) {
  for (size_t rows = 1; rows < max_batch; rows *= 2) ORCHARD_RETURN_IF_ERROR(run(rows));
  return run(std::max<size_t>(max_batch, 1));
}

}  // namespace orchard::model
