#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "core/clock.h"
#include "core/timer_queue.h"
#include "router/cold_metrics.h"
#include "router/fleet.h"

namespace orchard::router {

/// Who waits for domains that are being started (MissingReason::kCold): has these looked for while
/// somebody waits, and wakes who waits for one that can be asked. Thread-safe.
///
/// One timer for all, which runs only while somebody waits.
class ColdStarts {
 public:
  struct Options {
    /// How long a picture may wait for a domain; zero: it does not.
    core::Clock::duration longest = core::Clock::duration::zero();
    core::Clock::duration look_every = std::chrono::milliseconds(50);
  };
  /// Runs on the timer's thread: hands over and does not wait.
  using Wake = std::function<void()>;

  /// Everything given outlives it, and what it set on `timers` too.
  ColdStarts(Options options, ExpertFleet& fleet, core::TimerQueue& timers, ColdMetrics& metrics);
  ~ColdStarts();  ///< Nobody waits any more.
  ColdStarts(const ColdStarts&) = delete;
  ColdStarts& operator=(const ColdStarts&) = delete;

  core::Clock::duration longest() const { return longest_; }

  /// Whether a picture that wants the domain is to wait: it is being started, by who lets us wait.
  bool MustWait(size_t domain) const;

  /// Rows that wait for a domain now.
  size_t waiting(size_t domain) const;

 private:
  struct State;

 public:
  /// Some rows that wait for a domain; they wait no more when it dies.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept : state_(std::move(other.state_)), id_(other.id_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(state_, other.state_);
      std::swap(id_, other.id_);
      return *this;
    }
    ~Ticket();

    /// So many of them wait no more.
    void Left(size_t rows);

   private:
    friend class ColdStarts;
    Ticket(std::shared_ptr<State> state, std::uint64_t id) : state_(std::move(state)), id_(id) {}

    std::shared_ptr<State> state_;  // shared with the timer and with ColdStarts
    std::uint64_t id_ = 0;
  };

  /// `wake` runs, once at most, when MustWait(domain) holds no more. It may keep alive who waits:
  /// the ticket's end drops it.
  Ticket Enter(size_t domain, size_t rows, Wake wake);

 private:
  const core::Clock::duration longest_;
  const std::shared_ptr<State> state_;
};

}  // namespace orchard::router
