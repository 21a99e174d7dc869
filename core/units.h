#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// \file
/// Sizes and durations as people write them in settings and on command lines: text → value and
/// back, exactly.

namespace orchard::core {

/// A plain number of bytes or one with KiB, MiB, GiB (1024): "16MiB". Decimal units (MB) are
/// refused: they mean two things to people.
std::optional<std::uint64_t> ParseBytes(std::string_view text);

/// The shortest exact text: "16MiB", "1500".
std::string FormatBytes(std::uint64_t bytes);

/// Not negative: a plain number of seconds or one with us, ms, s, min, h: "250ms", "1.5s", "2".
/// A fraction of a nanosecond is refused.
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);

/// The shortest exact text: "250ms", "30s", "5min".
std::string FormatDuration(std::chrono::nanoseconds duration);

}  // namespace orchard::core
