#include "server/limited_log.h"

#include <utility>

namespace orchard::server {
namespace {

KindLimiter& TheLimiter() {
  static KindLimiter* const limiter = new KindLimiter;  // Never destroyed: logs come until the end.
  return *limiter;
}

}  // namespace

std::optional<std::uint64_t> KindLimiter::Admit(const std::string& kind,
                                                core::Clock::time_point now) {
  core::MutexLock lock(mutex_);
  auto place = kinds_.find(kind);
  if (place == kinds_.end() && kinds_.size() >= max_kinds_) {
    std::erase_if(kinds_, [&](const auto& known) {
      return known.second.left_out == 0 && now - known.second.written >= period_;
    });
    if (kinds_.size() >= max_kinds_) place = kinds_.find("");
  }
  if (place == kinds_.end()) {
    kinds_.emplace(kinds_.size() >= max_kinds_ ? std::string() : kind, Kind{.written = now});
    return 0;
  }
  Kind& known = place->second;
  if (now - known.written < period_) {
    ++known.left_out;
    return std::nullopt;
  }
  known.written = now;
  return std::exchange(known.left_out, 0);
}

std::vector<KindLimiter::LeftOut> KindLimiter::Overdue(core::Clock::time_point now,
                                                       bool at_the_end) {
  std::vector<LeftOut> overdue;
  core::MutexLock lock(mutex_);
  for (auto& [kind, known] : kinds_) {
    if (known.left_out == 0) continue;
    if (!at_the_end && now - known.written < period_) continue;
    overdue.push_back({.kind = kind, .lines = std::exchange(known.left_out, 0)});
    known.written = now;
  }
  return overdue;
}

void LogLimited(LogLevel level, std::string_view event, const std::string& kind,
                std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const std::optional<std::uint64_t> left_out = AdmitLimited(event, kind);
  if (!left_out) return;
  std::vector<LogField> all(fields);
  if (*left_out > 0) all.emplace_back("repeated", *left_out);
  Log(level, event, all);
}

std::optional<std::uint64_t> AdmitLimited(std::string_view event, const std::string& kind) {
  const std::string name = kind.empty() ? std::string(event) : std::string(event) + " " + kind;
  return TheLimiter().Admit(name, core::Clock::now());
}

void FlushLimitedLog(bool at_the_end) {
  for (const KindLimiter::LeftOut& left_out :
       TheLimiter().Overdue(core::Clock::now(), at_the_end)) {
    Log(LogLevel::kWarning, "repeated", {{"kind", left_out.kind}, {"lines", left_out.lines}});
  }
}

}  // namespace orchard::server
