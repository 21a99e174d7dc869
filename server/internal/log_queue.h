#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "server/log.h"

namespace orchard::server::internal {

struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::chrono::system_clock::time_point at;
  std::string text;  ///< FormatLogLine(): without level and time
};

/// Lines of a log that wait to be written, bounded. When it is full, lines below warning go
/// first: the oldest of them, for whatever comes; only when there is none, the oldest warning or
/// error, for another one. Not thread-safe.
class LogQueue {
 public:
  /// Holds `most` lines, at least one.
  explicit LogQueue(size_t most) : most_(most) {}

  /// Takes a line. Returns how many were dropped for it, or with it: 0 or 1.
  size_t Push(LogLine line) {
    const bool matters = line.level >= LogLevel::kWarning;
    size_t dropped = 0;
    if (size() >= most_) {
      dropped = 1;
      if (!rest_.empty()) {
        rest_.pop_front();
      } else if (matters) {
        matters_.pop_front();
      } else {
        return dropped;
      }
    }
    (matters ? matters_ : rest_).push_back({next_++, std::move(line)});
    return dropped;
  }

  /// The oldest line. Not of an empty queue.
  LogLine Pop() {
    const bool from_rest =
        matters_.empty() || (!rest_.empty() && rest_.front().number < matters_.front().number);
    std::deque<Numbered>& from = from_rest ? rest_ : matters_;
    LogLine line = std::move(from.front().line);
    from.pop_front();
    return line;
  }

  bool empty() const { return size() == 0; }
  size_t size() const { return matters_.size() + rest_.size(); }

 private:
  struct Numbered {
    std::uint64_t number;  // as they came
    LogLine line;
  };
  const size_t most_;
  std::uint64_t next_ = 0;
  std::deque<Numbered> matters_;
  std::deque<Numbered> rest_;
};

}  // namespace orchard::server::internal
