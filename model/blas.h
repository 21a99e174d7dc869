#pragma once

#include <functional>

#include "core/blas_kernels.h"

namespace orchard::model {

/// Sees to it that OpenBLAS's kernels are as new as the CPU: where it took old ones by itself, the
/// program is started again, in place, with OPENBLAS_CORETYPE set; it then comes here once more,
/// and returns. Call it in main before any thread is started and before anything is computed;
/// `argv` is main's. docs/decisions/0011-openblas-gets-kernels-of-the-cpus-age.md says why.
///
/// `before_restart` puts away what libraries left outside the process when they were loaded.
///
/// What comes back is settled: its message, when there is one, belongs into the log, once.
core::KernelAdvice SettleBlasKernels(char** argv,
                                     const std::function<void()>& before_restart = nullptr);

}  // namespace orchard::model
