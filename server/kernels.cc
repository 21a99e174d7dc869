#include "server/kernels.h"

#include "server/log.h"

namespace orchard::server {

void LogKernels(const core::KernelAdvice& advice) {
  if (advice.message.empty()) return;
  Log(advice.slow ? LogLevel::kWarning : LogLevel::kInfo, "blas_kernels",
      {{"message", advice.message}});
}

}  // namespace orchard::server
