#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "server/log.h"

/// \file
/// Lines that repeat: the first of a kind is written at once, those that follow are counted, and
/// the count is written each period. A fault that comes a thousand times a second must not drop the
/// lines that say something else (kMaxWaitingLogLines).

namespace orchard::server {

/// Decides; writes nothing. Thread-safe; time is an argument.
class KindLimiter {
 public:
  static constexpr std::chrono::seconds kPeriod{10};

  explicit KindLimiter(core::Clock::duration period = kPeriod, size_t max_kinds = 1024)
      : period_(period), max_kinds_(max_kinds) {}

  /// Whether to write a line of `kind` now: then how many like it were left out since the last one
  /// that was written. Beyond `max_kinds` kinds in a period, new ones share one.
  std::optional<std::uint64_t> Admit(const std::string& kind, core::Clock::time_point now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  struct LeftOut {
    std::string kind;
    std::uint64_t lines;
  };
  /// Kinds of which lines were left out, none of them followed by one that could have said so, and
  /// whose period is over (`at_the_end`: or is not). They are told once.
  std::vector<LeftOut> Overdue(core::Clock::time_point now, bool at_the_end = false)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kind {
    core::Clock::time_point written;
    std::uint64_t left_out = 0;
  };

  const core::Clock::duration period_;
  const size_t max_kinds_;
  core::Mutex mutex_;
  std::map<std::string, Kind> kinds_ ABSL_GUARDED_BY(mutex_);
};

/// Log(), limited by kind over the whole process: event and `kind` together. A line that follows
/// others of its kind has a field `repeated`, how many were left out.
void LogLimited(LogLevel level, std::string_view event, const std::string& kind,
                std::initializer_list<LogField> fields = {});

/// The same in two steps, for fields that are costly to make: whether to write such a line now, and
/// the value of its field `repeated`, which is left away when it is 0.
std::optional<std::uint64_t> AdmitLimited(std::string_view event, const std::string& kind);

/// Writes what LogLimited() left out and no later line could say: event=repeated kind= lines=. The
/// log's own thread does, once StartLog() was called; `at_the_end`: all there is.
void FlushLimitedLog(bool at_the_end = false);

}  // namespace orchard::server
