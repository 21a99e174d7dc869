#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

#include "experts/resolver.h"
#include "experts/target.h"

namespace orchard::experts {

/// One address to connect to.
struct Place {
  std::string address;    ///< "10.0.0.1:8011"
  std::string authority;  ///< the target whose name led there; empty when it was the address itself

  bool operator==(const Place&) const = default;
};

/// What the `targets` come to: each address once, under the first target that leads there.
/// `addresses_of` says what is known behind the name of a target; null: nothing, yet.
std::vector<Place> PlacesOf(
    std::span<const Target> targets,
    absl::FunctionRef<const HostAddresses*(const std::string& host)> addresses_of);

}  // namespace orchard::experts
