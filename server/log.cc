#include "server/log.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <poll.h>
#include <type_traits>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <grpc/support/log.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "rpc/status.h"

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

/// stderr, and how much has gone there. Thread-safe. Past the stdio of C, whose lock a write that
/// nobody reads would hold: exit() wants it.
class CountingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// Waits until `enough` says so of the lines written, or until `deadline`: then false.
  template <typename Enough>
  bool Await(const Enough& enough, core::Clock::time_point deadline)
      ABSL_LOCKS_EXCLUDED(written_mutex_) {
    core::MutexLock lock(written_mutex_);
    while (!enough(written_)) {
      if (!lock.WaitUntil(changed_, deadline)) return enough(written_);
    }
    return true;
  }

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
      if (wrote <= 0) break;  // There is nobody to tell.
      from += static_cast<size_t>(wrote);
    }
    core::MutexLock lock(written_mutex_);
    ++written_;
    changed_.notify_all();
  }
  void flush_() override {}

  core::Mutex written_mutex_;
  std::condition_variable changed_;
  std::uint64_t written_ ABSL_GUARDED_BY(written_mutex_) = 0;
};

/// Where lines go. Never destroyed: threads that outlive main may still log.
struct Backend {
  std::shared_ptr<CountingSink> sink = std::make_shared<CountingSink>();
  std::atomic<std::uint64_t> lines = 0;  // handed over so far
  spdlog::logger direct{"orchard", sink};
  // Made by StartLog. The writer is shared with the logger, the logger with the lines that wait.
  std::shared_ptr<spdlog::details::thread_pool> writer;
  std::shared_ptr<spdlog::async_logger> queued;
  std::atomic<spdlog::logger*> logger = &direct;

  Backend() {
    SetFormat(direct);
    direct.set_level(spdlog::level::info);
  }

  static void SetFormat(spdlog::logger& logger) {
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc));
  }

  void StartWriter() {
    writer = std::make_shared<spdlog::details::thread_pool>(kMaxWaitingLogLines, 1);
    queued = std::make_shared<spdlog::async_logger>("orchard", sink, writer,
                                                    spdlog::async_overflow_policy::overrun_oldest);
    SetFormat(*queued);
    logger = queued.get();
    std::atexit([] { FlushLog(kPatienceAtExit); });
  }
};

Backend& TheBackend() {
  static Backend& backend = *new Backend;
  return backend;
}

spdlog::logger& Logger() { return *TheBackend().logger.load(std::memory_order_acquire); }

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
  static std::once_flag once;
  std::call_once(once, [] { TheBackend().StartWriter(); });
  Logger().set_level(ToSpdlog(level));
  gpr_set_log_function(&LogForGrpc);
}

std::uint64_t DroppedLogLines() {
  const Backend& backend = TheBackend();
  if (backend.logger.load(std::memory_order_acquire) == &backend.direct) return 0;
  return backend.writer->overrun_counter();
}

bool FlushLog(std::chrono::milliseconds patience) {
  Backend& backend = TheBackend();
  const std::uint64_t lines = backend.lines;
  return backend.sink->Await(
      [lines](std::uint64_t written) { return written + DroppedLogLines() >= lines; },
      core::Clock::now() + patience);
}

bool LogEnabled(LogLevel level) {
  return level != LogLevel::kOff && Logger().should_log(ToSpdlog(level));
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
  TheBackend().lines.fetch_add(1, std::memory_order_relaxed);
  Logger().log(ToSpdlog(level), FormatLogLine(event, fields));
}

}  // namespace orchard::server
