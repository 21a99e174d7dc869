#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"

/// \file
/// Logs: one line per event on stderr, key=value, made for grep and for log collectors.
///   ts=2026-01-31T12:00:00.123Z level=info event=classify request_id=7f3a code=OK ms=12.3
/// `error` wants a person now; an error that is also returned is not logged.

namespace orchard::server {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

/// One key=value. Borrows text: use it within the expression that makes it.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value)
      : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value) {}
  /// Three decimals at most: milliseconds are the usual thing.
  LogField(std::string_view key, double value) : key_(key), value_(value) {}
  template <std::signed_integral T>
  LogField(std::string_view key, T value) : key_(key), value_(std::int64_t{value}) {}
  template <std::unsigned_integral T>
  LogField(std::string_view key, T value) : key_(key), value_(std::uint64_t{value}) {}
  /// The code's name, for example RESOURCE_EXHAUSTED.
  LogField(std::string_view key, absl::StatusCode code);

  /// Appends " key=value"; a value that is empty or has spaces, quotes, '=', control characters
  /// stands in double quotes with JSON's escapes, so that a line stays one line.
  void AppendTo(std::string& line) const;

 private:
  std::string_view key_;
  std::variant<std::string_view, bool, double, std::int64_t, std::uint64_t> value_;
};

/// Starts logging to stderr. In main, after the settings. Before it, lines of level info and above
/// are written as well, by whoever logs; from here on by a thread of its own, so that nobody waits
/// for who reads stderr, or does not. Also takes gRPC's own messages over (event=grpc), and flushes
/// at exit().
void StartLog(LogLevel level);

/// Lines that wait to be written, at most: with one more the oldest is dropped, and counted; of
/// level info or debug, as long as there is one, so that a flood of them hides no warning.
inline constexpr size_t kMaxWaitingLogLines = 4096;

/// Lines dropped since the start, because they came quicker than they were read.
std::uint64_t DroppedLogLines();

/// Waits until all lines so far are written (or dropped), or until `patience` ends: then false.
bool FlushLog(std::chrono::milliseconds patience);

/// Whether a line of `level` would be written: for fields that are costly to make.
bool LogEnabled(LogLevel level);

/// "event=classify request_id=7f3a code=OK", without time and level.
std::string FormatLogLine(std::string_view event, std::span<const LogField> fields);

/// Writes one line, or hands it to who writes. Thread-safe; takes a lock and formats: after the
/// answer, not before it.
///   Log(LogLevel::kInfo, "classify", {{"request_id", id}, {"ms", 12.3}, {"degraded", false}});
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
void Log(LogLevel level, std::string_view event, std::span<const LogField> fields);

}  // namespace orchard::server
