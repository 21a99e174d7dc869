#pragma once

#include <string>
#include <vector>

namespace orchard::server::internal {

/// The one of `names` that a misspelt `name` most likely means: at most two letters (a third of the
/// shorter names) inserted, left out or changed. Empty when nothing is near.
std::string Nearest(const std::string& name, const std::vector<std::string>& names);

}  // namespace orchard::server::internal
