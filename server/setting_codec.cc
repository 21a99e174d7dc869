#include "server/setting_codec.h"

#include <array>
#include <cmath>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace orchard::server {

std::optional<bool> ParseBool(std::string_view text) {
  const std::string word = absl::AsciiStrToLower(absl::string_view(text.data(), text.size()));
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::string FormatNumber(double value) {
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc{} ? std::string(buffer.data(), end) : absl::StrCat(value);
}

SettingCodec<bool> CodecOf(std::type_identity<bool>) {
  return {.placeholder = "",
          .kind = "true or false",
          .parse = ParseBool,
          .format = [](const bool& value) { return std::string(value ? "true" : "false"); },
          .is_switch = true};
}

SettingCodec<double> CodecOf(std::type_identity<double>) {
  return {.placeholder = "NUMBER",
          .kind = "a number",
          .parse = ParseNumber,
          .format = [](const double& value) { return FormatNumber(value); }};
}

SettingCodec<std::string> CodecOf(std::type_identity<std::string>) {
  return {.placeholder = "TEXT",
          .kind = "a text that is not empty",
          .parse = [](std::string_view text) -> std::optional<std::string> {
            if (text.empty()) return std::nullopt;
            return std::string(text);
          },
          .format = [](const std::string& value) { return value; }};
}

SettingCodec<std::filesystem::path> CodecOf(std::type_identity<std::filesystem::path>) {
  return {.placeholder = "PATH",
          .kind = "a path that is not empty",
          .parse = [](std::string_view text) -> std::optional<std::filesystem::path> {
            if (text.empty()) return std::nullopt;
            return std::filesystem::path(text);
          },
          .format = [](const std::filesystem::path& value) { return value.string(); }};
}

SettingCodec<Address> CodecOf(std::type_identity<Address>) {
  return {.placeholder = "HOST:PORT",
          .kind = "an address HOST:PORT (an IPv6 host in brackets, a port from 0 to 65535)",
          .parse = [](std::string_view text) -> std::optional<Address> {
            absl::StatusOr<Address> address = ParseAddress(text);
            if (!address.ok()) return std::nullopt;
            return *std::move(address);
          },
          .format = [](const Address& value) { return value.ToString(); }};
}

}  // namespace orchard::server
