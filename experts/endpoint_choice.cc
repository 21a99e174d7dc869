#include "experts/endpoint_choice.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace orchard::experts {
namespace {

constexpr double kNewest = 0.2;           // weight of an answer in the moving average
constexpr double kMemorySeconds = 5.0;    // what an endpoint told fades by 1/e in this time
constexpr double kFailureSeconds = 1.0;   // a failure counts as an answer that took this long
constexpr double kFloorSeconds = 0.0005;  // what no call is quicker than; tells idle ones apart

void Average(EndpointLoad& load, double seconds, core::Clock::time_point now) {
  load.latency_seconds = load.latency_seconds == 0.0
                             ? seconds
                             : load.latency_seconds + kNewest * (seconds - load.latency_seconds);
  load.told = now;
}

}  // namespace

void EndpointLoad::Answered(double seconds, size_t reported, core::Clock::time_point now) {
  Average(*this, seconds, now);
  reported_in_flight = reported;
}

void EndpointLoad::Failed(double seconds, core::Clock::time_point now) {
  Average(*this, std::max(seconds, kFailureSeconds), now);
}

double Cost(const EndpointLoad& load, core::Clock::time_point now) {
  const double age = std::max(0.0, core::Seconds(now - load.told));
  const double memory = std::exp(-age / kMemorySeconds);
  const double reported = memory * static_cast<double>(load.reported_in_flight);
  const double waiting = std::max(static_cast<double>(load.in_flight), reported);
  return (kFloorSeconds + memory * load.latency_seconds) * (1.0 + waiting);
}

std::optional<size_t> ChooseEndpoint(std::span<const EndpointView> endpoints,
                                     std::optional<size_t> except, std::uint64_t chance) {
  std::vector<size_t> candidates;
  for (const EndpointHealth health : {EndpointHealth::kUp, EndpointHealth::kUnknown}) {
    for (size_t i = 0; i < endpoints.size(); ++i) {
      if (endpoints[i].health == health && i != except) candidates.push_back(i);
    }
    if (!candidates.empty()) break;
  }
  if (candidates.empty()) return std::nullopt;
  const size_t count = candidates.size();
  const size_t first = (chance >> 32) % count;
  if (count == 1) return candidates[first];
  const size_t second = (first + 1 + (chance & 0xFFFFFFFFU) % (count - 1)) % count;
  const size_t a = candidates[first];
  const size_t b = candidates[second];
  return endpoints[b].cost < endpoints[a].cost ? b : a;
}

}  // namespace orchard::experts
