#pragma once

#include <cstdint>
#include <vector>

#include "bench/fleet/events.h"

namespace orchard::bench {

/// Cores that all work on them shares evenly: a piece of work has a core of its own while there are
/// enough, and with more pieces than cores each gets its share (processor sharing), as an operating
/// system does it with threads, but for its slices. Not thread-safe.
class Cores {
 public:
  /// `cores` > 0; `events` outlives it.
  Cores(Events& events, double cores) : events_(events), cores_(cores) {}
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  /// `done` runs when `seconds` of a core were spent on it.
  void Work(double seconds, Events::Run done);

  /// Whatever is in progress never ends.
  void Stop();

  double cores() const { return cores_; }
  /// Core-seconds so far.
  double used();

 private:
  struct Job {
    double ends;  // in progress_
    std::uint64_t order;
    Events::Run done;
  };
  static bool Later(const Job& a, const Job& b) {
    return a.ends != b.ends ? a.ends > b.ends : a.order > b.order;
  }

  double Busy() const;
  void Advance();
  void Plan();
  void Finish();

  Events& events_;
  const double cores_;
  std::vector<Job> jobs_;  // a heap, the next one to end first
  double progress_ = 0.0;  // seconds that a job which began at the start would have had
  double used_ = 0.0;
  Clock::time_point then_ = Events::kStart;  // as of which both are
  std::uint64_t order_ = 0;
  std::uint64_t plan_ = 0;  // the newest; the events of older ones are void
};

}  // namespace orchard::bench
