#pragma once

#include <chrono>

namespace orchard::core {

/// The clock of deadlines and durations. Pure folders take times as arguments instead.
using Clock = std::chrono::steady_clock;

/// Milliseconds as a double, for answers and logs.
inline double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// Seconds as a double, for metrics.
inline double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace orchard::core
