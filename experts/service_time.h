#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "core/clock.h"

namespace orchard::experts {

/// What a row takes of this process as a whole, by domain: with so many seconds a row, the process
/// can do 1 / seconds rows a second and no more. From this, and how many rows are wanted, follows
/// how many such processes are (router/demand_meter.h).
///
///   seconds(domain) = busy(domain) / workers / rows(domain) × overhead
///   overhead        = max(1, (CPU time / cores) / (busy of all domains / workers))
///
/// over the last `window`; so all rows together take the larger of what they take of the workers
/// and of the cores. Workers alone would leave out gRPC and the decoding of messages, which other
/// threads do; CPU time alone would leave out an accelerator. Where one process serves several
/// domains, who keeps the workers busy bears the overhead.
///
/// The overhead is learned from windows in which the process used 5 % of its cores at least: what
/// it uses while nobody asks would otherwise be divided by few rows. It is 1 before that, and kept
/// after it; so is the last figure of a domain that is not asked any more.
///
/// Time is an argument, and CPU time a function that is called once a step. Allocates nothing after
/// its construction. Not thread-safe: the owner locks.
class ServiceTime {
 public:
  struct Options {
    size_t domains = 1;
    size_t workers = 1;
    double cpus = 1.0;                                  ///< cores that the process may use; above 0
    std::function<core::Clock::duration()> cpu_time{};  ///< used so far; empty: nobody measures it
    core::Clock::duration window = std::chrono::seconds(10);
    size_t steps = 10;  ///< in which the window is forgotten
  };

  explicit ServiceTime(Options options);

  /// A worker was busy for `busy`, until `now`, and computed `rows` rows of `domain` meanwhile.
  void Worked(size_t domain, size_t rows, core::Clock::duration busy, core::Clock::time_point now);

  /// Seconds a row, above 0; nothing before the first row was computed.
  std::optional<double> Seconds(size_t domain) const;

  double overhead() const { return overhead_; }

 private:
  struct Work {
    double busy = 0.0;  // seconds
    double rows = 0.0;
  };

  void Advance(long long step);
  void Learn();
  Work& At(long long step, size_t domain) { return ring_[Slot(step) * options_.domains + domain]; }
  size_t Slot(long long step) const {
    return static_cast<size_t>(step % static_cast<long long>(options_.steps));
  }

  const Options options_;
  const core::Clock::duration step_;
  std::vector<Work> ring_;       // [steps][domains]
  std::vector<double> cpu_;      // [steps], seconds
  std::vector<Work> sums_;       // [domains], over the ring
  std::vector<double> seconds_;  // [domains]; 0: not known yet
  double overhead_ = 1.0;
  core::Clock::duration cpu_then_{};  // used when the newest step began
  long long newest_ = -1;             // number of the newest step; -1: nothing yet
};

}  // namespace orchard::experts
