#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/units.h"
#include "server/address.h"

/// \file
/// How a type is written in a setting: text → value and back, and its name for people.

namespace orchard::server {

template <typename T>
struct SettingCodec {
  std::string placeholder;  ///< in --help: "N", "HOST:PORT"
  std::string kind;         ///< in faults, after "is not": "a whole number"
  std::function<std::optional<T>(std::string_view)> parse;
  std::function<std::string(const T&)> format;
  std::string to = " to ";  ///< between the ends of a range
  bool is_switch = false;   ///< --name alone means true
};

/// "true", "yes", "on", "1" and their opposites.
std::optional<bool> ParseBool(std::string_view text);

using core::FormatBytes;
using core::FormatDuration;
using core::ParseBytes;
using core::ParseDuration;

/// A finite decimal number; nothing may follow it.
std::optional<double> ParseNumber(std::string_view text);
std::string FormatNumber(double value);

SettingCodec<bool> CodecOf(std::type_identity<bool>);
SettingCodec<double> CodecOf(std::type_identity<double>);
SettingCodec<std::string> CodecOf(std::type_identity<std::string>);
SettingCodec<std::filesystem::path> CodecOf(std::type_identity<std::filesystem::path>);
SettingCodec<Address> CodecOf(std::type_identity<Address>);

/// Whole numbers, refused when they do not fit the type.
template <std::integral T>
  requires(!std::same_as<T, bool>)
SettingCodec<T> CodecOf(std::type_identity<T>) {
  return {.placeholder = "N",
          .kind = "a whole number",
          .parse = [](std::string_view text) -> std::optional<T> {
            T value{};
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
            return value;
          },
          .format = [](const T& value) { return std::to_string(value); }};
}

/// Durations, refused when the type can't hold them exactly ("1ms" in whole seconds).
template <typename Rep, typename Period>
SettingCodec<std::chrono::duration<Rep, Period>> CodecOf(
    std::type_identity<std::chrono::duration<Rep, Period>>) {
  using Duration = std::chrono::duration<Rep, Period>;
  return {.placeholder = "DURATION",
          .kind = "a duration such as 250ms, 1s or 2min",
          .parse = [](std::string_view text) -> std::optional<Duration> {
            const std::optional<std::chrono::nanoseconds> exact = ParseDuration(text);
            if (!exact) return std::nullopt;
            const Duration value = std::chrono::duration_cast<Duration>(*exact);
            if (std::chrono::duration_cast<std::chrono::nanoseconds>(value) != *exact) {
              return std::nullopt;
            }
            return value;
          },
          .format =
              [](const Duration& value) {
                return FormatDuration(std::chrono::duration_cast<std::chrono::nanoseconds>(value));
              }};
}

/// Byte sizes in an unsigned type.
template <std::unsigned_integral T>
SettingCodec<T> BytesCodec() {
  return {.placeholder = "BYTES",
          .kind = "a size such as 65536 or 16MiB (units KiB, MiB, GiB; MB means two things)",
          .parse = [](std::string_view text) -> std::optional<T> {
            const std::optional<std::uint64_t> bytes = ParseBytes(text);
            if (!bytes || !std::in_range<T>(*bytes)) return std::nullopt;
            return static_cast<T>(*bytes);
          },
          .format = [](const T& bytes) { return FormatBytes(bytes); }};
}

/// One of a closed set of words.
template <typename T>
SettingCodec<T> ChoiceCodec(std::vector<std::pair<std::string, T>> choices) {
  std::string words;
  for (const auto& [word, value] : choices) words += (words.empty() ? "" : "|") + word;
  return {.placeholder = words,
          .kind = "one of " + words,
          .parse = [choices](std::string_view text) -> std::optional<T> {
            for (const auto& [word, value] : choices) {
              if (word == text) return value;
            }
            return std::nullopt;
          },
          .format =
              [choices](const T& wanted) {
                for (const auto& [word, value] : choices) {
                  if (value == wanted) return word;
                }
                return std::string("?");
              }};
}

}  // namespace orchard::server
