#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

#include "core/clock.h"

namespace orchard::experts {

/// How busy and how quick one address is, from what its calls told. Pure: time is an argument. Not
/// thread-safe: the owner locks.
///
/// The latency is a peak average (Peak-EWMA): it jumps to what took more than three times as long,
/// and averages what did not. One slow answer between quick ones is an accident and not looked at:
/// what goes in is the median of the last five. While nothing is outstanding it fades, so that one
/// bad moment does not exclude an address for ever; while something is, nothing is quicker than the
/// oldest call that still waits: a silent address gets dearer by the second.
class EndpointLoad {
 public:
  /// Names a call in progress.
  using Ticket = std::uint64_t;

  /// A call of `rows` rows began.
  Ticket Started(size_t rows, core::Clock::time_point now);

  /// It was answered; the expert said that it had `reported` rows of everyone in flight.
  void Answered(Ticket call, size_t reported, core::Clock::time_point now);

  /// It failed for a reason that is the address's. Counted as a slow answer, or else an address
  /// that fails at once would look quick and draw all calls to itself.
  void Failed(Ticket call, core::Clock::time_point now);

  /// Nobody waited for it any longer: it would have taken at least until now. Twice as long with
  /// each one in a row, and forgotten half as fast: whoever is always overtaken by a hedge is never
  /// measured, would look as quick as the hedge, and be tried again and again.
  void Abandoned(Ticket call, core::Clock::time_point now);

  /// It failed for a reason that is the call's own: nothing is learnt.
  void Forget(Ticket call, core::Clock::time_point now) { Take(call, now); }

  /// It asked for patience when it refused a call: for so long it is asked after all others, and
  /// gets no retry and no hedge. For a second at most: it is its word alone, and rows that others
  /// withdraw may make room at any time. A negative time ("don't retry this call here") asks for
  /// nothing: no call goes twice to an address.
  void AskedForPatience(core::Clock::duration pushback, core::Clock::time_point now);
  bool Resting(core::Clock::time_point now) const { return now < rests_until_; }

  /// In what time an idle address's latency fades by 1/e: some calls' time, so that it is tried
  /// again after as many calls to others, however quick the domain is.
  void SetFade(core::Clock::duration fade) { fade_ = fade; }

  /// What one more row would cost: expected seconds.
  double Cost(core::Clock::time_point now) const;

  /// Seconds, without what waits; 0 before the first answer.
  double Latency(core::Clock::time_point now) const;

  size_t rows() const { return rows_; }           ///< outstanding
  size_t calls() const { return calls_.size(); }  ///< outstanding
  /// For how long the oldest call has been waiting; 0 when none does.
  core::Clock::duration OldestAge(core::Clock::time_point now) const;

 private:
  struct Outstanding {
    core::Clock::time_point begin;
    size_t rows;
  };

  Outstanding Take(Ticket call, core::Clock::time_point now);
  void Observe(double seconds);

  std::map<Ticket, Outstanding> calls_;  // in the order of their beginnings
  Ticket last_ = 0;
  size_t rows_ = 0;
  double level_ = 0.0;                    // seconds, as of idle_since_ when idle
  core::Clock::time_point idle_since_{};  // of no meaning while calls are outstanding
  std::array<double, 5> last_seconds_{};  // a ring
  size_t answers_ = 0;                    // ever
  int overtaken_ = 0;                     // times in a row, until it is as quick as thought
  size_t reported_ = 0;
  core::Clock::duration fade_ = std::chrono::milliseconds(100);
  core::Clock::time_point reported_at_{};
  core::Clock::time_point rests_until_{};
};

}  // namespace orchard::experts
