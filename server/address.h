#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace orchard::server {

/// Where to listen, or where a peer is. Port 0 lets the system choose when listening.
struct Address {
  std::string host;  ///< a name, an IPv4 or an IPv6 address; without brackets
  std::uint16_t port = 0;

  /// "127.0.0.1:8001"; an IPv6 host stands in brackets: "[::1]:8001".
  std::string ToString() const;

  bool operator==(const Address&) const = default;
};

/// Reads HOST:PORT or [IPV6]:PORT.
/// Errors: INVALID_ARGUMENT with the text and what is wrong with it.
absl::StatusOr<Address> ParseAddress(std::string_view text);

}  // namespace orchard::server
