#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::router {

/// What is wanted of one domain's expert.
struct Demand {
  double rows_per_second = 0.0;   ///< the mean of the last window
  double desired_replicas = 0.0;  ///< not rounded
  bool active = false;            ///< a picture wanted it within the last window
  /// What a row takes of one replica; nothing: no replica has said so yet.
  std::optional<double> service_seconds = std::nullopt;

  bool operator==(const Demand&) const = default;
};

/// How many replicas each domain's expert needs, by how many pictures want it: counted where they
/// are planned, before any queue, whether or not the expert can be asked.
///
///   desired = rate × seconds a row takes of one replica / target utilisation
///   rate    = the largest mean over a window, or a sixth of one, that ended within the last window
///
/// So a ramp is seen after a sixth of a window and a lull is believed after a whole one; besides,
/// what was said last stays until the next would be more than it, or less than nine tenths of it.
/// 0 after a window without a wanted picture; 1 while pictures are wanted and nobody knows yet what
/// one takes. Why so: docs/decisions/0016-replicas-follow-wanted-pictures.md.
///
/// Thread-safe; time is an argument. Wanted() is a few atomic operations: no lock, no allocation.
class DemandMeter {
 public:
  struct Options {
    core::Clock::duration window = std::chrono::seconds(30);
    double target_utilisation = 0.7;  ///< in (0, 1]
  };

  DemandMeter(size_t domains, Options options);

  DemandMeter(const DemandMeter&) = delete;
  DemandMeter& operator=(const DemandMeter&) = delete;

  /// A picture wants the expert of `domain`; once a picture.
  void Wanted(size_t domain, core::Clock::time_point now);

  /// `on_active` runs when a picture comes after Read() found that nobody wants its domain, on that
  /// picture's thread: it must be quick. That a domain is not active any more is for who reads to
  /// find out. Once, before the first Wanted().
  void OnActive(std::function<void()> on_active) { on_active_ = std::move(on_active); }

  /// What `domain` needs now, when a row takes `service_seconds`.
  Demand Read(size_t domain, std::optional<double> service_seconds, core::Clock::time_point now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  size_t domains() const { return domains_; }
  const Options& options() const { return options_; }

 private:
  static constexpr size_t kWindowSteps = 30;
  static constexpr size_t kShortSteps = kWindowSteps / 6;
  static constexpr size_t kSteps = 2 * kWindowSteps + 1;  // Windows that ended a window ago, too.

  struct Rates {
    double mean = 0.0;     // of the last window
    double largest = 0.0;  // see above
  };

  Rates RatesOf(size_t domain, std::uint32_t step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::uint32_t StepOf(core::Clock::time_point now) const {
    return static_cast<std::uint32_t>(now.time_since_epoch() / step_);
  }

  const size_t domains_;
  const Options options_;
  const core::Clock::duration step_;
  std::function<void()> on_active_;
  // [domains][kSteps]: number of the step, 32 bits, and pictures in it, 32 bits.
  std::unique_ptr<std::atomic<std::uint64_t>[]> steps_;
  // [domains]: whether on_active_ was told since Read() last found that nobody wants it.
  std::unique_ptr<std::atomic<bool>[]> told_;
  core::Mutex mutex_;                                 // Of who reads.
  std::vector<double> said_ ABSL_GUARDED_BY(mutex_);  // [domains]: desired
  // [domains]: the step in which nobody wanted it; what was before it counts no more.
  std::vector<std::optional<std::uint32_t>> since_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::router
