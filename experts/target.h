#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "server/address.h"

namespace orchard::experts {

/// Where experts of a domain are, as a setting says it.
struct Target {
  /// `host` is a name of which every address is an endpoint, looked up again and again. Otherwise
  /// the whole is one endpoint: an address, or a name that the connection looks up for itself.
  bool dns = false;
  server::Address address;

  /// As it was written: "dns:///fruit:8011", "[::1]:8011".
  std::string ToString() const;

  bool operator==(const Target&) const = default;
};

/// Reads HOST:PORT, [IPV6]:PORT or dns:///NAME:PORT.
/// Errors: INVALID_ARGUMENT with the text and what is wrong with it.
absl::StatusOr<Target> ParseTarget(std::string_view text);

/// Several, separated by commas. Errors as above; INVALID_ARGUMENT when there is none.
absl::StatusOr<std::vector<Target>> ParseTargets(std::string_view text);

}  // namespace orchard::experts
