#include "experts/resolver.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <set>
#include <sys/socket.h>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <netdb.h>

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::experts {

using core::Clock;

namespace {

constexpr std::chrono::milliseconds kPatienceAtEnd{500};

}  // namespace

absl::Status LookUpError(const std::string& host, int error) {
  const std::string what = absl::StrCat("can't look up ", host, ": ", ::gai_strerror(error));
  if (error == EAI_NONAME || error == EAI_NODATA) return absl::NotFoundError(what);
  return absl::UnavailableError(what);
}

absl::StatusOr<HostAddresses> LookUpHost(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;  // Or every address comes once a protocol.
  hints.ai_flags = AI_ADDRCONFIG;   // No IPv6 address where this machine has none.
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return LookUpError(host, error);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  HostAddresses addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text);
    }
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (!addresses.empty()) return addresses;
  return LookUpError(host, EAI_NODATA);
}

struct Resolver::State {
  struct Host {
    std::map<Watch, std::shared_ptr<const Watcher>> watchers;
    Clock::time_point looked_up{};  // began; never: the clock's epoch
    Clock::time_point next{};
    bool busy = false;  // a thread looks it up
  };

  explicit State(Options given) : options(std::move(given)) {}

  static void Run(const std::shared_ptr<State>& state) ABSL_LOCKS_EXCLUDED(state->mutex);
  std::string WaitForNext() ABSL_LOCKS_EXCLUDED(mutex);  // empty: stopping
  void Tell(const std::string& host, const absl::StatusOr<HostAddresses>& addresses)
      ABSL_LOCKS_EXCLUDED(mutex);
  void NoLongerBusy(const std::string& host) ABSL_LOCKS_EXCLUDED(mutex);
  static void HurryHost(Host& host, std::chrono::milliseconds least) {
    host.next = std::min(host.next, std::max(Clock::now(), host.looked_up + least));
  }

  const Options options;
  core::Mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Host> hosts ABSL_GUARDED_BY(mutex);
  Watch last ABSL_GUARDED_BY(mutex) = 0;
  std::multiset<Watch> telling ABSL_GUARDED_BY(mutex);  // whose watchers run now
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  size_t running ABSL_GUARDED_BY(mutex) = 0;  // threads
};

Resolver::Resolver(Options options) : state_(std::make_shared<State>(std::move(options))) {
  const size_t threads = state_->options.threads;
  {
    core::MutexLock lock(state_->mutex);
    state_->running = threads;
  }
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([state = state_] { State::Run(state); });
  }
}

Resolver::~Resolver() {
  bool ended = false;
  {
    core::MutexLock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
    const auto patience = Clock::now() + kPatienceAtEnd;
    while (state_->running > 0 && lock.WaitUntil(state_->changed, patience)) {
    }
    ended = state_->running == 0;
  }
  for (std::thread& thread : threads_) {
    if (ended) {
      thread.join();
    } else {
      thread.detach();
    }
  }
}

Resolver::Watch Resolver::Add(const std::string& host, Watcher watcher) {
  core::MutexLock lock(state_->mutex);
  State::Host& entry = state_->hosts[host];
  entry.watchers[++state_->last] = std::make_shared<const Watcher>(std::move(watcher));
  entry.next = {};  // The new one does not know yet what the others do.
  state_->changed.notify_all();
  return state_->last;
}

void Resolver::Remove(Watch watch) {
  core::MutexLock lock(state_->mutex);
  for (auto host = state_->hosts.begin(); host != state_->hosts.end(); ++host) {
    if (host->second.watchers.erase(watch) == 0) continue;
    if (host->second.watchers.empty()) state_->hosts.erase(host);
    break;
  }
  while (state_->telling.contains(watch)) lock.Wait(state_->changed);
}

void Resolver::Hurry(const std::string& host) { Hurry(host, state_->options.hurry); }

void Resolver::Hurry(const std::string& host, std::chrono::milliseconds least) {
  core::MutexLock lock(state_->mutex);
  const auto entry = state_->hosts.find(host);
  if (entry == state_->hosts.end()) return;
  State::HurryHost(entry->second, least);
  state_->changed.notify_all();
}

void Resolver::State::Run(const std::shared_ptr<State>& state) {
  while (true) {
    const std::string host = state->WaitForNext();
    if (host.empty()) break;
    state->Tell(host, state->options.look_up(host));
    state->NoLongerBusy(host);
  }
  core::MutexLock lock(state->mutex);
  --state->running;
  state->changed.notify_all();
}

std::string Resolver::State::WaitForNext() {
  core::MutexLock lock(mutex);
  while (!stopping) {
    const auto first =
        std::min_element(hosts.begin(), hosts.end(), [](const auto& a, const auto& b) {
          if (a.second.busy != b.second.busy) return b.second.busy;
          return a.second.next < b.second.next;
        });
    if (first == hosts.end() || first->second.busy) {
      lock.Wait(changed);
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (first->second.next <= now) {
      first->second.looked_up = now;
      first->second.next = now + options.interval;
      first->second.busy = true;
      return first->first;
    }
    const Clock::time_point next = first->second.next;  // A copy: it may go while we wait.
    lock.WaitUntil(changed, next);
  }
  return "";
}

/// It may have gone and come again meanwhile: then it is looked up once more than is needed.
void Resolver::State::NoLongerBusy(const std::string& host) {
  core::MutexLock lock(mutex);
  const auto entry = hosts.find(host);
  if (entry != hosts.end()) entry->second.busy = false;
  changed.notify_all();
}

void Resolver::State::Tell(const std::string& host,
                           const absl::StatusOr<HostAddresses>& addresses) {
  Watch told = 0;
  while (true) {
    std::shared_ptr<const Watcher> watcher;
    {
      core::MutexLock lock(mutex);
      if (told != 0) telling.erase(telling.find(told));
      changed.notify_all();
      const auto entry = hosts.find(host);
      if (stopping || entry == hosts.end()) return;
      const auto next = entry->second.watchers.upper_bound(told);
      if (next == entry->second.watchers.end()) return;
      told = next->first;
      watcher = next->second;
      telling.insert(told);
    }
    (*watcher)(addresses);
  }
}

}  // namespace orchard::experts
