#include "experts/internal/endpoint_board.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "experts/subset.h"

namespace orchard::experts::internal {

EndpointBoard::EndpointBoard(ChannelOptions channel, Subset subset, Resolver& resolver,
                             OnTransition on_transition, OnLookUpFailed on_look_up_failed)
    : channel_(std::move(channel)),
      subset_(subset),
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
  const bool empty = addresses.ok() ? addresses->empty() : absl::IsNotFound(addresses.status());
  const bool known = addresses.ok() || empty;
  bool news = !known;
  {
    core::MutexLock lock(names_mutex_);
    const auto found = names_.find(host);
    if (found == names_.end()) return;
    Name& name = found->second;
    name.looked_up = true;
    // What can't be looked up now was right a moment ago: the last list stays.
    if (known) {
      news = empty && !name.empty;
      name.empty = empty;
      name.addresses = addresses.ok() ? *addresses : HostAddresses();
    }
  }
  if (known) Rebuild();
  // That there is none is no failure, and not said again and again.
  if (news && !addresses.ok() && on_look_up_failed_) on_look_up_failed_(host, addresses.status());
}

/// Nothing is known of a name that was not looked up yet.
bool EndpointBoard::AllNamesEmpty() const {
  return !names_.empty() &&
         std::ranges::all_of(names_, [](const auto& name) { return name.second.empty; });
}

std::vector<Place> EndpointBoard::Places() const {
  return PlacesOf(targets_, [&](const std::string& host) {
    const auto name = names_.find(host);
    return name == names_.end() ? nullptr : &name->second.addresses;
  });
}

/// In the order in which we want them; all are wanted alike where there is no choice to be made.
std::vector<Place> EndpointBoard::Ranked(std::vector<Place> places) const {
  if (subset_.size == 0 || places.size() <= subset_.size) return places;
  std::vector<std::string> addresses;
  addresses.reserve(places.size());
  for (const Place& place : places) addresses.push_back(place.address);
  std::vector<Place> ranked;
  ranked.reserve(places.size());
  for (const size_t index : RendezvousOrder(subset_.router, addresses)) {
    ranked.push_back(std::move(places[index]));
  }
  return ranked;
}

void EndpointBoard::Rebuild() {
  {
    core::MutexLock lock(names_mutex_);
    places_ = Ranked(Places());
    Fit();
  }
  const auto endpoints = Snapshot();  // Held: another list may come meanwhile.
  for (const auto& endpoint : *endpoints) endpoint->Look();  // Begins to connect.
  Review();
}

/// Connects to as many of the places as are wanted, and to no more. Returns the endpoints that are
/// new. Under the lock of the names, so that the newest list is the last to be set.
EndpointSet EndpointBoard::Fit() {
  const auto known = Snapshot();
  EndpointSet next, fresh;
  size_t sound = 0;
  for (const Place& place : places_) {
    if (subset_.size > 0 && sound == subset_.size) break;
    const auto is_same = [&](const auto& endpoint) {
      return endpoint->address() == place.address && endpoint->authority() == place.authority;
    };
    // Most of the time nothing has changed, and each stands where it stood.
    const auto there =
        known->begin() + static_cast<std::ptrdiff_t>(std::min(next.size(), known->size()));
    const auto same = there != known->end() && is_same(*there)
                          ? there
                          : std::find_if(known->begin(), known->end(), is_same);
    if (same != known->end()) {
      next.push_back(*same);
      if (IsSound((*same)->Facts())) ++sound;
    } else {
      fresh.push_back(std::make_shared<Endpoint>(place.address, place.authority, channel_));
      next.push_back(fresh.back());
      ++sound;  // Until it turns out not to be.
    }
  }
  if (next == *known) return fresh;
  core::MutexLock lock(set_mutex_);
  for (const auto& endpoint : *set_) {
    if (std::ranges::find(next, endpoint) == next.end()) retired_.push_back(endpoint);
  }
  set_ = std::make_shared<const EndpointSet>(std::move(next));
  return fresh;
}

/// Half of a domain's addresses, and everyone for whom another one stands in.
size_t EndpointBoard::MostEjected(size_t connected, size_t known) const {
  const size_t standing_in =
      subset_.size > 0 && connected > subset_.size ? connected - subset_.size : 0;
  return std::max(known / 2, standing_in);
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
    EndpointSet fresh;
    size_t known = 0;
    bool named = false;
    bool names_empty = false;
    {
      core::MutexLock lock(names_mutex_);
      if (subset_.size > 0) fresh = Fit();  // Else nothing but the places decides.
      known = places_.size();
      named = !names_.empty();
      names_empty = AllNamesEmpty();
    }
    for (const auto& endpoint : fresh) endpoint->Look();  // Begins to connect.
    const auto endpoints = Snapshot();
    std::vector<EndpointFacts> facts;
    facts.reserve(endpoints->size());
    for (const auto& endpoint : *endpoints) facts.push_back(endpoint->Facts());
    const Verdict verdict = Judge(facts, MostEjected(facts.size(), known));
    bool all_up = !endpoints->empty();
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
    const std::optional<MissingReason> why = WhyUnavailable(verdict, named, names_empty);
    unavailable_ = why ? static_cast<std::int8_t>(*why) : kAvailable;
  }
  if (lost) HurryNames();  // It may have moved.
  if (!on_transition_) return;
  for (const EndpointTransition& transition : transitions) on_transition_(transition);
}

std::optional<MissingReason> EndpointBoard::WhyUnavailable(const Verdict& verdict, bool named,
                                                           bool names_empty) {
  const bool reached = std::ranges::any_of(verdict.states, [](EndpointState state) {
    return state == EndpointState::kUp || state == EndpointState::kEjected ||
           state == EndpointState::kForeign;
  });
  if (reached || !named) {
    cold_ = false;
  } else if (names_empty && verdict.unavailable) {
    cold_ = true;
  }
  return cold_ ? MissingReason::kCold : verdict.unavailable;
}

void EndpointBoard::HurryNames(std::optional<std::chrono::milliseconds> least) {
  std::vector<std::string> hosts;
  {
    core::MutexLock lock(names_mutex_);
    for (const auto& [host, name] : names_) hosts.push_back(host);
  }
  for (const std::string& host : hosts) {
    if (least) {
      resolver_.Hurry(host, *least);
    } else {
      resolver_.Hurry(host);
    }
  }
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
