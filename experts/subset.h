#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// \file
/// Which of many addresses one of many routers connects to: rendezvous hashing (highest random
/// weight; Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM
/// Transactions on Networking 6(1), 1998). Each router ranks all addresses by a hash of itself and
/// the address, and takes the first. So an address that comes or goes changes one connection of a
/// router at most, no router has to know of another, and routers that differ choose independently:
/// docs/decisions/0017-each-router-connects-to-a-subset.md has figures. Pure.

namespace orchard::experts {

/// How much `router` wants `address`: uniform 64 bits, the same for the same two in every process
/// of this build.
std::uint64_t SubsetWeight(std::uint64_t router, std::string_view address);

/// Indices into `addresses` (shape [A], all different), the most wanted first. What comes before
/// what depends on the two addresses alone, not on the others or on the order of the argument.
std::vector<size_t> RendezvousOrder(std::uint64_t router, std::span<const std::string> addresses);

}  // namespace orchard::experts
