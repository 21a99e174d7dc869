#include "experts/endpoint_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orchard::experts {
namespace {

using Link = EndpointFacts::Link;

bool Reachable(const EndpointFacts& facts) { return !facts.foreign && facts.link != Link::kDown; }

EndpointState StateOf(const EndpointFacts& facts) {
  if (facts.foreign) return EndpointState::kForeign;
  if (facts.link == Link::kDown) return EndpointState::kDown;
  return facts.link == Link::kUp ? EndpointState::kUp : EndpointState::kConnecting;
}

/// Most telling first.
MissingReason WhyNobody(const std::vector<EndpointState>& states) {
  const auto some = [&](EndpointState state) {
    return std::find(states.begin(), states.end(), state) != states.end();
  };
  if (some(EndpointState::kEjected)) return MissingReason::kEjected;
  if (some(EndpointState::kForeign)) return MissingReason::kForeign;
  return MissingReason::kDown;
}

}  // namespace

std::string_view Name(EndpointState state) {
  switch (state) {
    case EndpointState::kUp:
      return "up";
    case EndpointState::kConnecting:
      return "connecting";
    case EndpointState::kEjected:
      return "ejected";
    case EndpointState::kForeign:
      return "foreign";
    case EndpointState::kDown:
      return "down";
  }
  return "down";
}

void AppendStanding(std::string& list, const std::string& address, EndpointState state) {
  absl::StrAppend(&list, list.empty() ? "" : ", ", address, " is ", std::string(Name(state)));
}

bool IsSound(const EndpointFacts& facts) { return Reachable(facts) && !facts.bad; }

Verdict Judge(std::span<const EndpointFacts> endpoints, size_t most_ejected) {
  Verdict verdict;
  std::vector<size_t> bad;
  size_t reachable = 0;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    verdict.states.push_back(StateOf(endpoints[i]));
    if (!Reachable(endpoints[i])) continue;
    ++reachable;
    if (endpoints[i].bad) bad.push_back(i);
  }
  verdict.all_bad = reachable > 0 && bad.size() == reachable;
  std::stable_sort(bad.begin(), bad.end(), [&](size_t a, size_t b) {
    return endpoints[a].bad_since < endpoints[b].bad_since;
  });
  if (!verdict.all_bad) bad.resize(std::min(bad.size(), most_ejected));
  for (const size_t i : bad) verdict.states[i] = EndpointState::kEjected;

  bool some = false;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointState state = verdict.states[i];
    verdict.usable.push_back(state == EndpointState::kUp || state == EndpointState::kConnecting ||
                             (state == EndpointState::kEjected && endpoints[i].trial));
    some = some || verdict.usable.back();
  }
  if (!some) verdict.unavailable = WhyNobody(verdict.states);
  return verdict;
}

}  // namespace orchard::experts
