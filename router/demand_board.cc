#include "router/demand_board.h"

#include <utility>

#include "absl/strings/str_format.h"

#include "core/random.h"

namespace orchard::router {

using core::Clock;

DemandBoard::DemandBoard(std::string model, std::vector<std::string> domains, Options options)
    : model_(std::move(model)),
      domains_(std::move(domains)),
      options_(std::move(options)),
      instance_(absl::StrFormat("%016x", core::Random64())),
      meter_(domains_.size(), options_.meter),
      active_(domains_.size(), false),
      reports_(options_.peer_patience) {
  meter_.OnActive([this] { Wake(); });
  Tick();
}

DemandBoard::~DemandBoard() = default;

std::vector<Demand> DemandBoard::Own() {
  std::vector<Demand> own(domains_.size());
  const Clock::time_point now = Clock::now();
  for (size_t domain = 0; domain < own.size(); ++domain) {
    std::optional<double> seconds;
    if (options_.service_seconds) seconds = options_.service_seconds(domain);
    own[domain] = meter_.Read(domain, seconds, now);
    if (!options_.scalable) own[domain].desired_replicas = 0.0;
  }
  return own;
}

std::vector<Demand> DemandBoard::Totals() {
  const std::vector<Demand> own = Own();
  core::MutexLock lock(mutex_);
  return reports_.Totals(own, instance_, options_.meter.target_utilisation, Clock::now());
}

void DemandBoard::Put(const std::string& address, PeerReport report) {
  bool changed = false;
  {
    core::MutexLock lock(mutex_);
    changed = reports_.Put(address, std::move(report));
  }
  if (changed) Wake();
}

void DemandBoard::Forget(const std::string& address) {
  core::MutexLock lock(mutex_);
  reports_.Forget(address);
}

DemandBoard::Subscription DemandBoard::Subscribe(Subscriber subscriber) {
  core::MutexLock lock(publishing_);
  subscribers_.emplace(++last_, std::move(subscriber));
  return last_;
}

void DemandBoard::Unsubscribe(Subscription subscription) {
  core::MutexLock lock(publishing_);  // Waits for a round in progress.
  subscribers_.erase(subscription);
}

void DemandBoard::Wake() {
  if (woken_.exchange(true)) return;
  timers_.At(Clock::now(), [this] {
    woken_ = false;  // Before it looks: what changes from here on wakes again.
    Publish();
  });
}

void DemandBoard::WakeAt(Clock::time_point when) {
  timers_.At(when, [this] { Publish(); });
}

void DemandBoard::Tick() {
  Publish();
  timers_.At(Clock::now() + options_.period, [this] { Tick(); });
}

void DemandBoard::Publish() {
  core::MutexLock one_at_a_time(publishing_);
  const std::vector<Demand> own = Own();
  bool changed = false;
  for (size_t domain = 0; domain < own.size(); ++domain) {
    changed = changed || active_[domain] != own[domain].active;
    active_[domain] = own[domain].active;
  }
  for (const auto& [subscription, subscriber] : subscribers_) {
    subscriber({.own = own, .own_changed = changed});
  }
}

}  // namespace orchard::router
