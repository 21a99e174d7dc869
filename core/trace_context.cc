#include "core/trace_context.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_format.h"

namespace orchard::core {
namespace {

constexpr size_t kMaxRequestId = 128;
constexpr std::uint8_t kKnownFlags = 3;

/// All of `text` as a number; upper case is refused.
std::optional<std::uint64_t> ParseHex(std::string_view text) {
  std::uint64_t value = 0;
  for (const char digit : text) {
    std::uint64_t four = 0;
    if (digit >= '0' && digit <= '9') {
      four = static_cast<std::uint64_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      four = static_cast<std::uint64_t>(digit - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | four;
  }
  return value;
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view text) {
  //                               3                35 36           52 53
  // 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  if (text.size() != 55 || !text.starts_with("00-") || text[35] != '-' || text[52] != '-') {
    return std::nullopt;
  }
  const auto high = ParseHex(text.substr(3, 16));
  const auto low = ParseHex(text.substr(19, 16));
  const auto span = ParseHex(text.substr(36, 16));
  const auto flags = ParseHex(text.substr(53));
  if (!high || !low || !span || !flags || (*high | *low) == 0 || *span == 0) return std::nullopt;
  return TraceContext{.trace_high = *high,
                      .trace_low = *low,
                      .span = *span,
                      .flags = static_cast<std::uint8_t>(*flags & kKnownFlags)};
}

std::string ToTraceparent(const TraceContext& trace) {
  return absl::StrFormat("00-%016x%016x-%016x-%02x", trace.trace_high, trace.trace_low, trace.span,
                         trace.flags);
}

std::string TraceId(const TraceContext& trace) {
  return absl::StrFormat("%016x%016x", trace.trace_high, trace.trace_low);
}

bool IsRequestId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId &&
         std::ranges::all_of(id, [](char c) { return c > ' ' && c <= '~'; });
}

std::string RequestIdOfPart(std::string_view id, std::uint64_t part) {
  const std::string end = "." + std::to_string(part);
  return std::string(id.substr(0, kMaxRequestId - end.size())) + end;
}

}  // namespace orchard::core
