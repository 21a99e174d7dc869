#pragma once

#include <ctime>

#include "core/clock.h"

namespace orchard::core {

/// CPU time that all threads of this process have used since it began. A system call.
inline Clock::duration ProcessCpuTime() {
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return {};
  return std::chrono::duration_cast<Clock::duration>(std::chrono::seconds(used.tv_sec) +
                                                     std::chrono::nanoseconds(used.tv_nsec));
}

}  // namespace orchard::core
