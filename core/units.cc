#include "core/units.h"

#include <array>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace orchard::core {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// From large to small; the first that divides wins when formatting.
// Powers of two only: who writes 5MB means 5MiB as often as 5,000,000.
constexpr std::array<Unit, 3> kByteUnits = {
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}}};
constexpr std::array<Unit, 6> kTimeUnits = {{{"h", 3'600'000'000'000},
                                             {"min", 60'000'000'000},
                                             {"s", 1'000'000'000},
                                             {"ms", 1'000'000},
                                             {"us", 1'000},
                                             {"ns", 1}}};

bool IsDigitOrDot(char letter) { return absl::ascii_isdigit(letter) || letter == '.'; }

/// The digits at the front, and the word behind them.
std::pair<std::string_view, std::string_view> SplitUnit(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && IsDigitOrDot(text[digits])) ++digits;
  return {text.substr(0, digits), text.substr(digits)};
}

/// digits × factor, when it is a whole number that fits; no rounding.
std::optional<std::uint64_t> ScaleExactly(std::string_view digits, std::uint64_t factor) {
  const size_t dot = digits.find('.');
  const std::string_view whole = digits.substr(0, dot);
  const std::string_view fraction =
      dot == std::string_view::npos ? std::string_view() : digits.substr(dot + 1);
  if (whole.empty() || (dot != std::string_view::npos && fraction.empty())) return std::nullopt;
  if (fraction.find('.') != std::string_view::npos) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::uint64_t value = 0;
  for (const char digit : whole) {
    const auto step = static_cast<std::uint64_t>(digit - '0');
    if (value > (kMost - step) / 10) return std::nullopt;
    value = value * 10 + step;
  }
  if (value > kMost / factor) return std::nullopt;
  value *= factor;
  for (const char digit : fraction) {
    const auto step = static_cast<std::uint64_t>(digit - '0');
    if (factor % 10 != 0 && step * factor % 10 != 0) return std::nullopt;
    const std::uint64_t part = step * factor / 10;
    if (part > kMost - value) return std::nullopt;
    value += part;
    factor = factor % 10 == 0 ? factor / 10 : 0;
  }
  return value;
}

template <size_t N>
std::optional<std::uint64_t> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units,
                                           std::uint64_t plain_factor) {
  const auto [digits, word] = SplitUnit(text);
  if (digits.empty()) return std::nullopt;
  if (word.empty()) return ScaleExactly(digits, plain_factor);
  for (const Unit& unit : units) {
    if (unit.name == word) return ScaleExactly(digits, unit.factor);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> ParseBytes(std::string_view text) {
  return ParseWithUnit(text, kByteUnits, 1);
}

std::string FormatBytes(std::uint64_t bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.factor == 0) {
      return absl::StrCat(bytes / unit.factor, std::string(unit.name));
    }
  }
  return absl::StrCat(bytes);
}

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const std::optional<std::uint64_t> count = ParseWithUnit(text, kTimeUnits, 1'000'000'000);
  if (!count) return std::nullopt;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*count));
}

std::string FormatDuration(std::chrono::nanoseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  for (const Unit& unit : kTimeUnits) {
    const auto factor = static_cast<std::int64_t>(unit.factor);
    if (count % factor == 0) return absl::StrCat(count / factor, std::string(unit.name));
  }
  return absl::StrCat(count, "ns");
}

}  // namespace orchard::core
