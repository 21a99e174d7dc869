#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "core/clock.h"

namespace orchard::server {

/// Keeps one kind of line from flooding the log, where what is useful would be dropped for it: the
/// first is written, then one each interval, which says how many were not. Thread-safe, without a
/// lock; time is an argument.
///   if (const auto left_out = limiter.Admit(core::Clock::now())) {
///     Log(LogLevel::kWarning, "expert_failed", {…, {"repeated", *left_out}});
///   }
class LogLimiter {
 public:
  explicit LogLimiter(core::Clock::duration interval = std::chrono::seconds(10))
      : interval_(interval) {}

  /// How many lines were left out since the last one; nothing: this one is left out as well.
  std::optional<std::uint64_t> Admit(core::Clock::time_point now) {
    core::Clock::rep next = next_.load(std::memory_order_relaxed);
    do {
      if (now.time_since_epoch().count() < next) {
        left_out_.fetch_add(1, std::memory_order_relaxed);
        return std::nullopt;
      }
    } while (!next_.compare_exchange_weak(next, (now + interval_).time_since_epoch().count()));
    return left_out_.exchange(0);
  }

 private:
  const core::Clock::duration interval_;
  std::atomic<core::Clock::rep> next_ = 0;  // The first is always written.
  std::atomic<std::uint64_t> left_out_ = 0;
};

}  // namespace orchard::server
