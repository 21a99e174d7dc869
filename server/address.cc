#include "server/address.h"

#include <charconv>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace orchard::server {
namespace {

std::optional<std::uint16_t> ParsePort(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

/// Letters of host names, IPv4 and (in brackets) IPv6 addresses with a zone.
bool IsHost(std::string_view host, bool in_brackets) {
  constexpr std::string_view kName =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  constexpr std::string_view kV6 = "abcdefABCDEF0123456789:.%";
  if (host.empty()) return false;
  if (!in_brackets) return host.find_first_not_of(kName) == std::string_view::npos;
  const std::string_view digits = host.substr(0, host.find('%'));
  return digits.find(':') != std::string_view::npos &&
         digits.find_first_not_of(kV6) == std::string_view::npos;
}

}  // namespace

std::string Address::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  const auto fault = [&text](std::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(text), "\" is not HOST:PORT: ", std::string(what)));
  };
  const bool in_brackets = !text.empty() && text.front() == '[';
  const size_t host_end = in_brackets ? text.find(']') : text.find(':');
  if (host_end == std::string_view::npos) {
    return fault(in_brackets ? "the bracket is not closed" : "the port is missing");
  }
  const std::string_view host =
      in_brackets ? text.substr(1, host_end - 1) : text.substr(0, host_end);
  std::string_view rest = text.substr(in_brackets ? host_end + 1 : host_end);
  if (rest.empty() || rest.front() != ':') return fault("the port is missing");
  rest.remove_prefix(1);
  if (!in_brackets && rest.find(':') != std::string_view::npos) {
    return fault("an IPv6 address stands in brackets, such as [::1]:8001");
  }
  if (!IsHost(host, in_brackets)) return fault("the host is empty or has a strange letter");
  const std::optional<std::uint16_t> port = ParsePort(rest);
  if (!port) return fault("the port is not a number from 0 to 65535");
  return Address{.host = std::string(host), .port = *port};
}

}  // namespace orchard::server
