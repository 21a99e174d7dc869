#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/v1/network.pb.h"

/// \file
/// Networks as values: which one, with which choices. What may be chosen stands beside each field
/// in proto/orchard/v1/network.proto; nothing here knows a network by name.

namespace orchard::nets {

/// The network's name, as recipes write it ("bottleneck_tail"); empty when none is set.
std::string NetworkName(const v1::Network& network);

/// Names of all networks, in the order of the proto.
std::vector<std::string> KnownNetworks();

/// Every fault, with the value and the limit: no network, a value out of range, a number that is no
/// value of its enumeration. What only values together can have wrong, an architecture says itself
/// (Faults of its options).
std::vector<std::string> NetworkFaults(const v1::Network& network);

/// With the default in place of every absent choice. `network` has no fault.
v1::Network Complete(v1::Network network);

/// The numbers that are chosen, by name, absent ones with their defaults; those of messages inside
/// the network are not among them.
std::map<std::string, double> Choices(const v1::Network& network);

/// The network that a word and numbers stand for, as manifests write those whose choices are all
/// numbers. Errors: INVALID_ARGUMENT
/// with every fault: an unknown network with the known ones, a choice that it doesn't have, a value
/// out of range.
absl::StatusOr<v1::Network> NetworkOf(std::string_view name,
                                      const std::map<std::string, std::int32_t>& choices);

}  // namespace orchard::nets
