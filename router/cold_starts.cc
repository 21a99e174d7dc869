#include "router/cold_starts.h"

#include <map>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"

namespace orchard::router {

using core::Clock;

struct ColdStarts::State {
  struct Waiting {
    size_t domain;
    size_t rows;
    Wake wake;  // null: it has run
  };

  State(Options given, ExpertFleet& given_fleet, core::TimerQueue& given_timers,
        ColdMetrics& given_metrics)
      : options(given),
        fleet(given_fleet),
        timers(given_timers),
        metrics(given_metrics),
        rows(given_fleet.domains()) {}

  bool MustWait(size_t domain) const {
    return !fleet.stopped() && fleet.Unavailable(domain) == experts::MissingReason::kCold;
  }
  std::set<size_t> Wanted() ABSL_LOCKS_EXCLUDED(mutex);
  std::vector<Wake> TakeWakes(size_t domain) ABSL_LOCKS_EXCLUDED(mutex);
  void Count(size_t domain, std::ptrdiff_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  static void Look(const std::shared_ptr<State>& state) ABSL_LOCKS_EXCLUDED(state->mutex);

  const Options options;
  ExpertFleet& fleet;
  core::TimerQueue& timers;
  ColdMetrics& metrics;

  mutable core::Mutex mutex;
  std::map<std::uint64_t, Waiting> waiting ABSL_GUARDED_BY(mutex);
  std::uint64_t last ABSL_GUARDED_BY(mutex) = 0;
  std::vector<size_t> rows ABSL_GUARDED_BY(mutex);  // by domain
  bool looking ABSL_GUARDED_BY(mutex) = false;      // a timer is set, or its function runs
};

/// The domains for which somebody waits. When there is none there is no timer any more.
std::set<size_t> ColdStarts::State::Wanted() {
  core::MutexLock lock(mutex);
  std::set<size_t> wanted;
  for (const auto& [id, one] : waiting) wanted.insert(one.domain);
  looking = !wanted.empty();
  return wanted;
}

std::vector<ColdStarts::Wake> ColdStarts::State::TakeWakes(size_t domain) {
  std::vector<Wake> wakes;
  core::MutexLock lock(mutex);
  for (auto& [id, one] : waiting) {
    if (one.domain == domain && one.wake) wakes.push_back(std::exchange(one.wake, nullptr));
  }
  return wakes;
}

void ColdStarts::State::Count(size_t domain, std::ptrdiff_t more) {
  rows[domain] += static_cast<size_t>(more);
  metrics.SetWaiting(domain, rows[domain]);
}

void ColdStarts::State::Look(const std::shared_ptr<State>& state) {
  const std::set<size_t> wanted = state->Wanted();
  if (wanted.empty()) return;
  for (const size_t domain : wanted) {
    state->fleet.Hurry(domain);
    if (state->MustWait(domain)) continue;
    for (const Wake& wake : state->TakeWakes(domain)) wake();  // Without the lock.
  }
  state->timers.At(Clock::now() + state->options.look_every, [state] { Look(state); });
}

ColdStarts::ColdStarts(Options options, ExpertFleet& fleet, core::TimerQueue& timers,
                       ColdMetrics& metrics)
    : longest_(options.longest), state_(std::make_shared<State>(options, fleet, timers, metrics)) {}

ColdStarts::~ColdStarts() {
  std::map<std::uint64_t, State::Waiting> dropped;  // Dies without the lock.
  core::MutexLock lock(state_->mutex);
  dropped.swap(state_->waiting);
}

bool ColdStarts::MustWait(size_t domain) const {
  return longest_ > Clock::duration::zero() && state_->MustWait(domain);
}

size_t ColdStarts::waiting(size_t domain) const {
  core::MutexLock lock(state_->mutex);
  return state_->rows[domain];
}

ColdStarts::Ticket ColdStarts::Enter(size_t domain, size_t rows, Wake wake) {
  bool first = false;
  std::uint64_t id = 0;
  {
    core::MutexLock lock(state_->mutex);
    id = ++state_->last;
    state_->waiting.emplace(
        id, State::Waiting{.domain = domain, .rows = rows, .wake = std::move(wake)});
    state_->Count(domain, static_cast<std::ptrdiff_t>(rows));
    first = !std::exchange(state_->looking, true);
  }
  // At once: there may be an answer already, or the name was looked up long ago.
  if (first) state_->timers.At(Clock::now(), [state = state_] { State::Look(state); });
  return Ticket(state_, id);
}

void ColdStarts::Ticket::Left(size_t rows) {
  core::MutexLock lock(state_->mutex);
  const auto entry = state_->waiting.find(id_);
  if (entry == state_->waiting.end()) return;
  entry->second.rows -= rows;
  state_->Count(entry->second.domain, -static_cast<std::ptrdiff_t>(rows));
}

ColdStarts::Ticket::~Ticket() {
  if (state_ == nullptr) return;
  Wake dropped;  // Dies without the lock: what it keeps alive may come back to us.
  core::MutexLock lock(state_->mutex);
  const auto entry = state_->waiting.find(id_);
  if (entry == state_->waiting.end()) return;
  state_->Count(entry->second.domain, -static_cast<std::ptrdiff_t>(entry->second.rows));
  dropped = std::move(entry->second.wake);
  state_->waiting.erase(entry);
}

}  // namespace orchard::router
