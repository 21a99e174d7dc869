#include "server/log.h"

#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <grpc/support/log.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

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

/// Never destroyed: threads that outlive main may still log.
spdlog::logger& Logger() {
  static spdlog::logger& logger = []() -> spdlog::logger& {
    auto* made = new spdlog::logger("orchard", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc));
    made->set_level(spdlog::level::info);
    return *made;
  }();
  return logger;
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

LogField::LogField(std::string_view key, absl::StatusCode code) : key_(key) {
  // The wire's and the metrics' words; abseil's names are literals of our own here, because
  // absl::StatusCodeToString gives a temporary and a field only borrows.
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  value_ = index < std::size(kNames) ? kNames[index] : std::string_view("UNKNOWN");
}

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
  Logger().set_level(ToSpdlog(level));
  gpr_set_log_function(&LogForGrpc);
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
  Logger().log(ToSpdlog(level), FormatLogLine(event, fields));
}

}  // namespace orchard::server
