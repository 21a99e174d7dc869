#include "router/peer_watch.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"

#include "experts/places.h"
#include "server/limited_log.h"

namespace orchard::router {

using core::Clock;

PeerWatch::PeerWatch(DemandBoard& board, Options options)
    : board_(board), options_(std::move(options)) {
  for (const experts::Target& target : options_.targets) {
    if (target.dns) names_.try_emplace(target.address.host);
  }
  if (!names_.empty()) {
    resolver_ = std::make_unique<experts::Resolver>(
        experts::Resolver::Options{.interval = options_.dns_interval,
                                   .hurry = std::min<std::chrono::milliseconds>(
                                       options_.dns_interval, std::chrono::milliseconds(1'000)),
                                   .threads = 1,
                                   .look_up = options_.look_up});
  }
  subscription_ = board_.Subscribe([this](const DemandBoard::News&) { Look(); });
}

PeerWatch::~PeerWatch() {
  board_.Unsubscribe(subscription_);
  ForgetNames();
  core::MutexLock lock(mutex_);
  for (const auto& [address, peer] : peers_) peer->Stop();  // All, before the first is waited for.
}

void PeerWatch::Asked() {
  const Clock::time_point now = Clock::now();
  {
    core::MutexLock lock(mutex_);
    const bool watching = Watching(now);
    asked_ = now;
    if (watching) return;
  }
  board_.Wake();
}

bool PeerWatch::Heard() {
  const Clock::time_point now = Clock::now();
  core::MutexLock lock(mutex_);
  if (!Watching(now) || !matched_) return false;
  return std::ranges::all_of(names_, [](const auto& name) { return name.second.looked_up; }) &&
         std::ranges::all_of(peers_, [&](const auto& peer) {
           return peer.second->State(now, board_.peer_patience()) != PeerState::kConnecting;
         });
}

std::array<size_t, kPeerStates> PeerWatch::Counts() {
  const Clock::time_point now = Clock::now();
  std::array<size_t, kPeerStates> counts{};
  core::MutexLock lock(mutex_);
  for (const auto& [address, peer] : peers_) {
    if (const auto state = peer->State(now, board_.peer_patience())) {
      ++counts[static_cast<size_t>(*state)];
    }
  }
  return counts;
}

/// A round, on the board's thread.
void PeerWatch::Look() {
  const Clock::time_point now = Clock::now();
  bool watching = false;
  {
    core::MutexLock lock(mutex_);
    watching = Watching(now);
  }
  if (watching) {
    LookUpNames();
  } else {
    ForgetNames();
  }
  std::vector<std::shared_ptr<Peer>> peers;
  std::vector<std::shared_ptr<Peer>> over;  // Die without the lock.
  {
    core::MutexLock lock(mutex_);
    MatchPeers(watching, now);
    for (const auto& [address, peer] : peers_) peers.push_back(peer);
    std::erase_if(gone_, [&](std::shared_ptr<Peer>& peer) {
      if (!peer->idle()) return false;
      over.push_back(std::move(peer));
      return true;
    });
  }
  for (const auto& peer : peers) peer->Look(now, board_.peer_patience());
}

void PeerWatch::LookUpNames() {
  std::vector<std::string> hosts;
  {
    core::MutexLock lock(mutex_);
    for (const auto& [host, name] : names_) {
      if (name.watch == 0) hosts.push_back(host);
    }
  }
  for (const std::string& host : hosts) {
    const experts::Resolver::Watch watch = resolver_->Add(
        host,
        [this, host](const absl::StatusOr<experts::HostAddresses>& found) { Found(host, found); });
    core::MutexLock lock(mutex_);
    names_[host].watch = watch;
  }
}

void PeerWatch::ForgetNames() {
  std::vector<experts::Resolver::Watch> watches;
  {
    core::MutexLock lock(mutex_);
    for (auto& [host, name] : names_) {
      if (name.watch != 0) watches.push_back(std::exchange(name.watch, 0));
      name.looked_up = false;
    }
  }
  for (const experts::Resolver::Watch watch : watches) resolver_->Remove(watch);  // It may be here.
}

/// On a thread of the resolver's.
void PeerWatch::Found(const std::string& host,
                      const absl::StatusOr<experts::HostAddresses>& found) {
  {
    core::MutexLock lock(mutex_);
    NameFound& name = names_[host];
    const bool first = !std::exchange(name.looked_up, true);
    const bool changed = found.ok() && name.addresses != *found;
    if (changed) name.addresses = *found;  // What can't be looked up now was right a moment ago.
    matched_ = matched_ && !changed;
    if (!first && !changed && found.ok()) return;
  }
  if (!found.ok()) {
    server::LogLimited(server::LogLevel::kWarning, "router_peers_look_up_failed", host,
                       {{"host", host}, {"reason", std::string(found.status().message())}});
  }
  board_.Wake();
}

/// Peers of addresses that stay are kept; none are wanted while nobody asks.
void PeerWatch::MatchPeers(bool watching, Clock::time_point now) {
  std::map<std::string, std::string> wanted;  // address → authority
  if (watching) {
    const auto addresses_of = [&](const std::string& host) { return &names_[host].addresses; };
    for (experts::Place& place : experts::PlacesOf(options_.targets, addresses_of)) {
      wanted.emplace(std::move(place.address), std::move(place.authority));
    }
  }
  std::erase_if(peers_, [&](auto& entry) {
    if (wanted.contains(entry.first)) return false;
    entry.second->Stop();
    board_.Forget(entry.first);
    gone_.push_back(std::move(entry.second));
    return true;
  });
  for (const auto& [address, authority] : wanted) {
    std::shared_ptr<Peer>& peer = peers_[address];
    if (peer == nullptr) {
      peer = std::make_shared<Peer>(board_, address, authority, options_.credentials, now);
    }
  }
  matched_ = watching;
}

}  // namespace orchard::router
