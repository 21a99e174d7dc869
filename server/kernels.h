#pragma once

#include "core/blas_kernels.h"

namespace orchard::server {

/// The line about OpenBLAS's kernels (event=blas_kernels), where there is something to say: a
/// warning when they are slow. After StartLog().
void LogKernels(const core::KernelAdvice& advice);

}  // namespace orchard::server
