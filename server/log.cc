#include "server/log.h"

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <grpc/support/log.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "rpc/status.h"
#include "server/internal/log_queue.h"
#include "server/limited_log.h"

namespace orchard::server {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

/// For the end: who reads stderr gets the last lines, and who does not can't hold the process.
constexpr std::chrono::milliseconds kPatienceAtExit{2'000};

/// stderr, past the stdio of C, whose lock a write that nobody reads would hold: exit() wants it.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    for (size_t from = 0; from < line.size();) {
      const ssize_t wrote = write(STDERR_FILENO, line.data() + from, line.size() - from);
      if (wrote < 0 && errno == EAGAIN) {  // Somebody made it non-blocking.
        pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        poll(&room, 1, -1);
        continue;
      }
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return;  // There is nobody to tell.
      from += static_cast<size_t>(wrote);
    }
  }
  void flush_() override {}
};

/// Where lines go: to spdlog's logger, which knows levels, formats and writes; by way of a queue of
/// our own, for spdlog's drops the oldest line, whatever its level. Thread-safe. Never destroyed:
/// threads that outlive main may still log.
class Backend {
 public:
  Backend() {
    logger.set_level(spdlog::level::info);
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc));
  }

  void Take(internal::LogLine line) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      core::MutexLock lock(mutex_);
      if (has_writer_) {
        dropped_ += waiting_.Push(std::move(line));
        changed_.notify_all();
        return;
      }
    }
    Write(line);
  }

  void StartWriter() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    if (std::exchange(has_writer_, true)) return;
    std::thread([this] { Run(); }).detach();
    std::atexit([] { FlushLog(kPatienceAtExit); });
  }

  std::uint64_t dropped() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return dropped_;
  }

  bool Flush(core::Clock::time_point deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    while (writing_ || !waiting_.empty()) {
      if (!lock.WaitUntil(changed_, deadline)) return !writing_ && waiting_.empty();
    }
    return true;
  }

  spdlog::logger logger{"orchard", std::make_shared<StderrSink>()};

 private:
  void Write(const internal::LogLine& line) {
    logger.log(line.at, spdlog::source_loc{}, ToSpdlog(line.level), line.text);
  }

  /// Also says, each period, how many lines were left out of which there was no later one.
  [[noreturn]] void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::Clock::time_point next_look = core::Clock::now() + KindLimiter::kPeriod;
    while (true) {
      if (const std::optional<internal::LogLine> line = Next(next_look)) Write(*line);
      if (core::Clock::now() < next_look) continue;
      FlushLimitedLog();
      next_look = core::Clock::now() + KindLimiter::kPeriod;
    }
  }

  /// The line before is written. Nothing: there was none until then.
  std::optional<internal::LogLine> Next(core::Clock::time_point until) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    writing_ = false;
    changed_.notify_all();
    while (waiting_.empty()) {
      if (!lock.WaitUntil(changed_, until) && waiting_.empty()) return std::nullopt;
    }
    writing_ = true;
    return waiting_.Pop();
  }

  mutable core::Mutex mutex_;
  std::condition_variable changed_;
  internal::LogQueue waiting_ ABSL_GUARDED_BY(mutex_){kMaxWaitingLogLines};
  std::uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool has_writer_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

Backend& TheBackend() {
  static Backend& backend = *new Backend;
  return backend;
}

void LogForGrpc(gpr_log_func_args* args) {
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kError
                         : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  Log(level, "grpc", {{"file", args->file}, {"line", args->line}, {"message", args->message}});
}

/// Whether `text` may stand bare behind '=': nothing that would end or confuse it.
bool IsPlain(std::string_view text) {
  if (text.empty()) return false;
  for (const char letter : text) {
    if (letter <= ' ' || letter == '"' || letter == '=' || letter == '\\' || letter == 0x7f) {
      // Bytes over 0x7f are negative as char on this platform: UTF-8 is plain.
      if (static_cast<unsigned char>(letter) < 0x80) return false;
    }
  }
  return true;
}

void AppendQuoted(std::string& line, std::string_view text) {
  line += '"';
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      line += '\\';
      line += letter;
    } else if (letter == '\n') {
      line += "\\n";
    } else if (letter == '\t') {
      line += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&line, "\\u%04x", byte);
    } else {
      line += letter;
    }
  }
  line += '"';
}

}  // namespace

LogField::LogField(std::string_view key, absl::StatusCode code)
    : key_(key), value_(rpc::CodeName(code)) {}

void LogField::AppendTo(std::string& line) const {
  absl::StrAppend(&line, " ", absl::string_view(key_.data(), key_.size()), "=");
  std::visit(
      [&line](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string_view>) {
          if (IsPlain(value)) {
            line += value;
          } else {
            AppendQuoted(line, value);
          }
        } else if constexpr (std::is_same_v<Value, bool>) {
          line += value ? "true" : "false";
        } else if constexpr (std::is_same_v<Value, double>) {
          std::string text = absl::StrFormat("%.3f", value);
          while (text.find('.') != std::string::npos &&
                 (text.back() == '0' || text.back() == '.')) {
            const bool was_dot = text.back() == '.';
            text.pop_back();
            if (was_dot) break;
          }
          line += text;
        } else {
          absl::StrAppend(&line, value);
        }
      },
      value_);
}

void StartLog(LogLevel level) {
  TheBackend().StartWriter();
  TheBackend().logger.set_level(ToSpdlog(level));
  gpr_set_log_function(&LogForGrpc);
}

std::uint64_t DroppedLogLines() { return TheBackend().dropped(); }

bool FlushLog(std::chrono::milliseconds patience) {
  return TheBackend().Flush(core::Clock::now() + patience);
}

bool LogEnabled(LogLevel level) {
  return level != LogLevel::kOff && TheBackend().logger.should_log(ToSpdlog(level));
}

std::string FormatLogLine(std::string_view event, std::span<const LogField> fields) {
  std::string line;
  LogField("event", event).AppendTo(line);
  line.erase(0, 1);  // The separator.
  for (const LogField& field : fields) field.AppendTo(line);
  return line;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  Log(level, event, std::span<const LogField>(fields.begin(), fields.size()));
}

void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  if (!LogEnabled(level)) return;
  TheBackend().Take({.level = level,
                     .at = std::chrono::system_clock::now(),
                     .text = FormatLogLine(event, fields)});
}

}  // namespace orchard::server
