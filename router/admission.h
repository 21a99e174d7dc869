#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"

#include "core/clock.h"

/// \file
/// What a request must pass before work is spent on it.

namespace orchard::router {

/// Bounds how many requests are in progress. Thread-safe; outlives every Slot it gave.
class InFlightLimiter {
 public:
  struct GiveBack {
    void operator()(InFlightLimiter* limiter) const { limiter->in_flight_.fetch_sub(1); }
  };
  /// Proof of admission. Move it along with the request; its destruction frees the place.
  using Slot = std::unique_ptr<InFlightLimiter, GiveBack>;

  explicit InFlightLimiter(size_t limit) : limit_(static_cast<std::int64_t>(limit)) {}

  /// Errors: RESOURCE_EXHAUSTED, naming the limit, when all places are taken.
  absl::StatusOr<Slot> Admit() {
    const std::int64_t in_flight = in_flight_.fetch_add(1) + 1;
    Slot slot(this);  // From here on every way out gives the place back.
    if (in_flight <= limit_) return slot;
    return absl::ResourceExhaustedError(
        absl::StrFormat("in-flight limit of %d requests reached; retry later", limit_));
  }

  std::int64_t in_flight() const { return in_flight_.load(); }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> in_flight_ = 0;
};

/// How long a stage took recently: an exponentially weighted mean. Zero until something was added.
///
/// Requests that can't be served in this time are refused. Were only served ones to count, one slow
/// spell could refuse everything for ever; so a refusal when nothing else is in progress that could
/// measure anew lowers the estimate a little, until one request passes. Under load refusals say
/// nothing about the time, and must not lower it. Thread-safe; concurrent updates may lose one
/// another.
class ServiceTime {
 public:
  void Add(core::Clock::duration took) {
    const double seconds = core::Seconds(took);
    const double before = seconds_.load(std::memory_order_relaxed);
    seconds_.store(before == 0.0 ? seconds : before + kWeight * (seconds - before),
                   std::memory_order_relaxed);
  }

  /// Somebody was refused for want of this time, and nobody else is in progress.
  void Refused() {
    seconds_.store(seconds_.load(std::memory_order_relaxed) * kForget, std::memory_order_relaxed);
  }

  core::Clock::duration Recent() const {
    return std::chrono::duration_cast<core::Clock::duration>(
        std::chrono::duration<double>(seconds_.load(std::memory_order_relaxed)));
  }

 private:
  static constexpr double kWeight = 0.1;
  static constexpr double kForget = 0.9;
  std::atomic<double> seconds_ = 0.0;
};

/// Recent times of the costly stages. Thread-safe.
struct ServiceTimes {
  ServiceTime decode;   ///< a picture
  ServiceTime encode;   ///< a micro-batch
  ServiceTime experts;  ///< scatter until all that were asked have answered

  void Refused() {
    decode.Refused();
    encode.Refused();
    experts.Refused();
  }
};

/// Whether `needed` more work can be done by `until`.
/// Errors: DEADLINE_EXCEEDED with both figures.
inline absl::Status CheckBudget(core::Clock::time_point now, core::Clock::time_point until,
                                core::Clock::duration needed) {
  if (now >= until) {
    return absl::DeadlineExceededError(
        absl::StrFormat("the deadline passed %.1f ms ago", core::Milliseconds(now - until)));
  }
  if (until - now >= needed) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrFormat("%.1f ms are left, and recently %.1f ms were needed from here on",
                      core::Milliseconds(until - now), core::Milliseconds(needed)));
}

}  // namespace orchard::router
