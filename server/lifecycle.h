#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

/// \file
/// How a process ends (how it begins: core/inherited.h). On SIGTERM or SIGINT it says that it is
/// not ready, keeps serving until the world has noticed, finishes what is in flight, and exits 0.
/// Source: serving.md section 1.6.

namespace orchard::server {

/// Catches SIGTERM, SIGINT and SIGHUP from its construction on, whatever the parent did with them,
/// and ignores SIGPIPE. Right after core::PutInheritedRight().
///
/// The first signal is remembered and wakes Wait(). The second ends the process at once with exit
/// code 128 + signal, from the handler itself, whatever the other threads do, also while a model is
/// being loaded. SIGHUP never ends it: it asks to take files anew (OnHangup). A handler that writes
/// to a pipe, and not sigwait(): OpenBLAS may start a thread before main that does not block the
/// signal and would swallow it (serving.md section 8).
///
/// One object a process.
class Signals {
 public:
  Signals();
  ~Signals();  ///< Gives the former handlers back.
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// What a SIGHUP does, on the thread that waits; one that came before is made up for. Before
  /// Wait(), on its thread.
  void OnHangup(std::function<void()> hangup);

  /// Waits for the first signal that ends and returns its number.
  int Wait();

  /// The first signal that ends, if it has come within `timeout`.
  std::optional<int> WaitFor(std::chrono::milliseconds timeout);

  /// Whether a signal that ends has come: a process that got one while it loaded never gets ready.
  bool Received() const;

 private:
  std::function<void()> on_hangup_;
};

/// What a drain does, in this order. Functions may be empty.
struct Drain {
  std::chrono::milliseconds delay{1'000};         ///< keep serving, not ready
  std::chrono::milliseconds timeout{30'000};      ///< for what is in flight after that
  std::function<void()> set_not_ready = nullptr;  ///< health NOT_SERVING, /readyz 503
  /// Stops the servers; returns whether everything finished before the deadline.
  std::function<bool(std::chrono::steady_clock::time_point deadline)> shutdown = nullptr;
  std::function<void()> flush = nullptr;              ///< pools, metrics; after the last call
  std::function<std::int64_t()> in_flight = nullptr;  ///< calls in progress, for the log
};

/// Carries the drain out and logs it (event=drain_start, drain_shutdown, drain_done with
/// milliseconds and calls in flight). Returns the exit code: 0, also when `timeout` cut calls off
/// (that is logged as a warning).
int RunDrain(int signal, const Drain& drain);

}  // namespace orchard::server
