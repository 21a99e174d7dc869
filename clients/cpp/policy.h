#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchard/v1/classifier.pb.h"

/// \file
/// Policies as people write them: the enumeration's own names in small letters, so that a policy
/// which the protocol gains is known here too.

namespace orchard::client {

/// "exact", "top_k".
std::string PolicyName(v1::Policy policy);

/// The policy of a name, in any case; nothing for another word.
std::optional<v1::Policy> ParsePolicy(std::string_view name);

/// All of them, in the protocol's order.
std::vector<std::string> PolicyNames();

}  // namespace orchard::client
