#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace orchard::server::internal {

/// Lines of a log that wait to be written, bounded. When it is full, lines that matter less go
/// first: the oldest of them, for whatever comes; only when there is none, the oldest line that
/// matters, for one that matters too. Not thread-safe.
class LogQueue {
 public:
  /// Holds `most` lines, at least one.
  explicit LogQueue(size_t most) : most_(most) {}

  /// Takes a line. Returns how many were dropped for it, or with it: 0 or 1.
  size_t Push(bool matters, std::string line) {
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
  std::string Pop() {
    const bool from_rest =
        matters_.empty() || (!rest_.empty() && rest_.front().number < matters_.front().number);
    std::deque<Line>& from = from_rest ? rest_ : matters_;
    std::string text = std::move(from.front().text);
    from.pop_front();
    return text;
  }

  bool empty() const { return size() == 0; }
  size_t size() const { return matters_.size() + rest_.size(); }

 private:
  struct Line {
    std::uint64_t number;  // as they came
    std::string text;
  };
  const size_t most_;
  std::uint64_t next_ = 0;
  std::deque<Line> matters_;
  std::deque<Line> rest_;
};

}  // namespace orchard::server::internal
