#include "experts/subset.h"

#include <algorithm>
#include <numeric>

namespace orchard::experts {
namespace {

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t SubsetWeight(std::uint64_t router, std::string_view address) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a, over the address
  for (const char letter : address) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3U;
  }
  // Mixed before they meet: addresses that differ in a digit, and routers that differ in a bit,
  // must not cancel each other out.
  return Mix(Mix(hash) ^ Mix(router + 0x9E3779B97F4A7C15U));
}

std::vector<size_t> RendezvousOrder(std::uint64_t router, std::span<const std::string> addresses) {
  std::vector<std::uint64_t> weights;
  weights.reserve(addresses.size());
  for (const std::string& address : addresses) weights.push_back(SubsetWeight(router, address));
  std::vector<size_t> order(addresses.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : addresses[a] < addresses[b];
  });
  return order;
}

}  // namespace orchard::experts
