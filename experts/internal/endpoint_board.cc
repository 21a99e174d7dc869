#include "experts/internal/endpoint_board.h"

#include <algorithm>
#include <set>
#include <utility>

#include "server/address.h"

namespace orchard::experts::internal {

EndpointBoard::EndpointBoard(ChannelOptions channel, Resolver& resolver, OnTransition on_transition,
                             OnLookUpFailed on_look_up_failed)
    : channel_(std::move(channel)),
      resolver_(resolver),
      on_transition_(std::move(on_transition)),
      on_look_up_failed_(std::move(on_look_up_failed)),
      set_(std::make_shared<const EndpointSet>()) {}

void EndpointBoard::SetTargets(std::vector<Target> targets) {
  core::MutexLock one_at_a_time(targets_mutex_);
  std::set<std::string> wanted;
  for (const Target& target : targets) {
    if (target.dns) wanted.insert(target.address.host);
  }
  std::vector<Resolver::Watch> gone;
  std::vector<std::string> added;
  {
    core::MutexLock lock(names_mutex_);
    targets_ = std::move(targets);
    std::erase_if(names_, [&](const auto& name) {
      if (wanted.contains(name.first)) return false;
      gone.push_back(name.second.watch);
      return true;
    });
    for (const std::string& host : wanted) {
      if (names_.try_emplace(host).second) added.push_back(host);
    }
  }
  for (const Resolver::Watch watch : gone) resolver_.Remove(watch);  // It may be telling us.
  for (const std::string& host : added) {
    const Resolver::Watch watch = resolver_.Add(
        host, [this, host](const absl::StatusOr<HostAddresses>& found) { Found(host, found); });
    core::MutexLock lock(names_mutex_);
    names_[host].watch = watch;
  }
  HurryNames();
  Rebuild();
}

void EndpointBoard::Close() {
  core::MutexLock one_at_a_time(targets_mutex_);
  std::map<std::string, Name> names;
  {
    core::MutexLock lock(names_mutex_);
    names.swap(names_);
  }
  for (const auto& [host, name] : names) resolver_.Remove(name.watch);
}

void EndpointBoard::Found(const std::string& host, const absl::StatusOr<HostAddresses>& addresses) {
  {
    core::MutexLock lock(names_mutex_);
    const auto name = names_.find(host);
    if (name == names_.end()) return;
    name->second.looked_up = true;
    // What can't be looked up now was right a moment ago: the last list stays.
    if (addresses.ok()) name->second.addresses = *addresses;
  }
  if (addresses.ok()) return Rebuild();
  if (on_look_up_failed_) on_look_up_failed_(host, addresses.status());
}

/// Each address once, under the first name that leads there.
std::vector<EndpointBoard::Place> EndpointBoard::Places() const {
  std::vector<Place> places;
  const auto add = [&](const server::Address& address, std::string authority) {
    std::string text = address.ToString();
    if (std::ranges::find(places, text, &Place::address) != places.end()) return;
    places.push_back({.address = std::move(text), .authority = std::move(authority)});
  };
  for (const Target& target : targets_) {
    if (!target.dns) {
      add(target.address, "");
      continue;
    }
    const auto name = names_.find(target.address.host);
    if (name == names_.end()) continue;
    for (const std::string& host : name->second.addresses) {
      add({host, target.address.port}, target.address.ToString());
    }
  }
  return places;
}

void EndpointBoard::Rebuild() {
  {
    core::MutexLock names_lock(names_mutex_);  // So that the newest list is the last to be set.
    EndpointSet next;
    for (const auto& [address, authority] : Places()) {
      const auto known = Snapshot();
      const auto same = std::ranges::find_if(*known, [&](const auto& endpoint) {
        return endpoint->address() == address && endpoint->authority() == authority;
      });
      next.push_back(
          same != known->end() ? *same : std::make_shared<Endpoint>(address, authority, channel_));
    }
    core::MutexLock lock(set_mutex_);
    for (const auto& endpoint : *set_) {
      if (std::ranges::find(next, endpoint) == next.end()) retired_.push_back(endpoint);
    }
    set_ = std::make_shared<const EndpointSet>(std::move(next));
  }
  const auto endpoints = Snapshot();  // Held: another list may come meanwhile.
  for (const auto& endpoint : *endpoints) endpoint->Look();  // Begins to connect.
  Review();
}

std::shared_ptr<const EndpointSet> EndpointBoard::Snapshot() const {
  core::MutexLock lock(set_mutex_);
  return set_;
}

bool EndpointBoard::LookedUp() const {
  core::MutexLock lock(names_mutex_);
  return std::ranges::all_of(names_, [](const auto& name) { return name.second.looked_up; });
}

void EndpointBoard::Review() {
  std::vector<EndpointTransition> transitions;
  bool lost = false;
  {
    core::MutexLock one_at_a_time(review_mutex_);
    const auto endpoints = Snapshot();
    std::vector<EndpointFacts> facts;
    facts.reserve(endpoints->size());
    for (const auto& endpoint : *endpoints) facts.push_back(endpoint->Facts());
    const Verdict verdict = Judge(facts);
    bool all_up = true;
    for (size_t i = 0; i < endpoints->size(); ++i) {
      Endpoint& endpoint = *(*endpoints)[i];
      const EndpointState was = endpoint.state();
      const EndpointState state = verdict.states[i];
      endpoint.SetVerdict(state, verdict.usable[i]);
      all_up = all_up && state == EndpointState::kUp;
      if (was == state) continue;
      lost = lost || state == EndpointState::kDown || state == EndpointState::kEjected;
      transitions.push_back({.address = endpoint.address(),
                             .was = was,
                             .state = state,
                             .reason = endpoint.Reason(state)});
    }
    all_bad_ = verdict.all_bad;
    all_up_ = all_up;
    unavailable_ =
        verdict.unavailable ? static_cast<std::int8_t>(*verdict.unavailable) : kAvailable;
  }
  if (lost) HurryNames();  // It may have moved.
  if (!on_transition_) return;
  for (const EndpointTransition& transition : transitions) on_transition_(transition);
}

void EndpointBoard::HurryNames() {
  std::vector<std::string> hosts;
  {
    core::MutexLock lock(names_mutex_);
    for (const auto& [host, name] : names_) hosts.push_back(host);
  }
  for (const std::string& host : hosts) resolver_.Hurry(host);
}

void EndpointBoard::Sweep() {
  EndpointSet unused;  // Dies without the lock.
  core::MutexLock lock(set_mutex_);
  std::erase_if(retired_, [&](std::shared_ptr<Endpoint>& endpoint) {
    if (endpoint.use_count() > 1) return false;
    unused.push_back(std::move(endpoint));
    return true;
  });
}

}  // namespace orchard::experts::internal
