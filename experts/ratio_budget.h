#pragma once

#include <array>
#include <cstddef>

#include "core/clock.h"

namespace orchard::experts {

/// How many extra tries are allowed: at most a share of the calls of the last `window`, so that
/// tries never become the load that they were to cure. Pure: time is an argument. Not thread-safe:
/// the owner locks.
class RatioBudget {
 public:
  struct Options {
    double ratio = 0.2;    ///< extra tries a call
    size_t at_least = 10;  ///< that many in a window, however few calls there are
    core::Clock::duration window = std::chrono::seconds(10);
  };

  explicit RatioBudget(Options options) : options_(options) {}

  /// A call began.
  void Called(core::Clock::time_point now) { ++Now(now).calls; }

  /// Takes one extra try; false: there is none left.
  bool Take(core::Clock::time_point now);

 private:
  static constexpr size_t kSteps = 10;  // The window moves on by a tenth of itself.
  struct Step {
    size_t calls = 0, taken = 0;
  };

  Step& Now(core::Clock::time_point now);

  Options options_;
  std::array<Step, kSteps> steps_{};
  core::Clock::rep newest_ = 0;  // number of the newest step
};

}  // namespace orchard::experts
