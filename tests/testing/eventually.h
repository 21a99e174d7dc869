#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace orchard::testing {

/// Polls until `state` holds; false when it does not within a minute, far beyond what a sound
/// program needs on a busy machine.
inline bool Eventually(const std::function<bool()>& state) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!state()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace orchard::testing
