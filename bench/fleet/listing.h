#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/fleet/pod.h"

namespace orchard::bench {

/// Which pods the name of a domain leads to. Routers look it up now and then.
class Listing {
 public:
  struct Name {
    std::vector<Pod*> pods;
    std::vector<std::string> addresses;  ///< of these
    std::uint64_t version = 0;           ///< another one with each change
  };

  explicit Listing(size_t domains) : names_(domains) {}

  void Add(size_t domain, Pod* pod) {
    names_[domain].pods.push_back(pod);
    Changed(names_[domain]);
  }
  void Remove(size_t domain, Pod* pod) {
    std::erase(names_[domain].pods, pod);
    Changed(names_[domain]);
  }
  const Name& Of(size_t domain) const { return names_[domain]; }

 private:
  static void Changed(Name& name) {
    name.addresses.clear();
    for (const Pod* const pod : name.pods) name.addresses.push_back(pod->address());
    ++name.version;
  }

  std::vector<Name> names_;
};

}  // namespace orchard::bench
