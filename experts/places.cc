#include "experts/places.h"

#include <utility>

#include "absl/container/flat_hash_set.h"

#include "server/address.h"

namespace orchard::experts {

std::vector<Place> PlacesOf(
    std::span<const Target> targets,
    absl::FunctionRef<const HostAddresses*(const std::string& host)> addresses_of) {
  std::vector<Place> places;
  absl::flat_hash_set<std::string> seen;
  const auto add = [&](const server::Address& address, std::string authority) {
    std::string text = address.ToString();
    if (!seen.insert(text).second) return;
    places.push_back({.address = std::move(text), .authority = std::move(authority)});
  };
  for (const Target& target : targets) {
    if (!target.dns) {
      add(target.address, "");
      continue;
    }
    const HostAddresses* addresses = addresses_of(target.address.host);
    if (addresses == nullptr) continue;
    for (const std::string& host : *addresses) {
      add({.host = host, .port = target.address.port}, target.address.ToString());
    }
  }
  return places;
}

}  // namespace orchard::experts
