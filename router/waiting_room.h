#pragma once

#include <condition_variable>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"
#include "router/fair_share.h"
#include "router/slot.h"

namespace orchard::router {

/// Where requests wait to be decoded, and the places of all that are in progress: a FairShare with
/// what waits in it. The one queue whose order counts: decoders take nothing from it while the
/// encoder has `max_ahead` pictures before it, so that who comes late with a better right is behind
/// few. Thread-safe; outlives every Slot it gave.
///
/// Who waits and goes says so itself, and nothing that is asked or done here looks at all who wait:
/// there may be thousands of them, and a flood asks for each call.
///
/// `Item` is a pointer to something with the members `Slot slot` and `std::stop_token cancelled`.
template <typename Item>
class WaitingRoom final : private Places {
 public:
  struct Options {
    FairShare::Limits limits;
    size_t max_ahead = 16;  ///< pictures on decoders and before the encoder
  };
  struct Sent {
    Item item;
    Shed reason;
  };
  struct Entered {
    std::optional<Shed> refused = std::nullopt;  ///< absent: the item was taken
    /// Those who have lost their places to it: the caller tells them, after this call.
    std::vector<Sent> evicted = {};
    /// Those whose callers had gone while they waited.
    std::vector<Item> gone = {};
  };

  explicit WaitingRoom(Options options) : options_(options), share_(options.limits) {}

  /// Takes `item`, with a slot of its own, or refuses: then it was not touched.
  Entered Enter(const FairShare::Ask& ask, Item&& item) ABSL_LOCKS_EXCLUDED(mutex_) {
    Entered entered;
    core::MutexLock lock(mutex_);
    // Nobody who waits is to lose its place to save that of one who has gone.
    if (!share_.HasRoomFor(ask)) entered.gone = TakeGone();
    const FairShare::Decision decision = share_.Enter(ask);
    for (const FairShare::Evicted& evicted : decision.evicted) {
      entered.evicted.push_back({TakeOut(evicted.id), evicted.reason});
    }
    if (!decision.id) {
      entered.refused = decision.reason;
      return entered;
    }
    item->slot = Slot(this, *decision.id);
    Waiting& waiting = waiting_[*decision.id];
    waiting.item = std::move(item);
    // It may have gone already: then this says so.
    waiting.watch.emplace(waiting.item->cancelled, TellGone{this, *decision.id});
    changed_.notify_one();
    return entered;
  }

  /// Why Enter() would refuse now; nothing when it would not, or when somebody who waits has gone
  /// and would make room.
  std::optional<Shed> WouldRefuse(const FairShare::Ask& ask) const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    const std::optional<Shed> reason = share_.WouldRefuse(ask);
    return reason && SomebodyHasGone() ? std::nullopt : reason;
  }

  /// Whose turn it is, as soon as somebody waits and the encoder is not too far behind. Nothing
  /// when stopping and nobody waits.
  std::optional<Item> Next() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    while (waiting_.empty() ? !stopping_ : ahead_.size() >= options_.max_ahead) {
      lock.Wait(changed_);
    }
    const std::optional<FairShare::Id> id = share_.Next();
    if (!id) return std::nullopt;
    ahead_.insert(*id);
    Item item = TakeOut(*id);
    if (stopping_ && waiting_.empty()) changed_.notify_all();  // It was the last.
    return item;
  }

  /// Wakes those who wait in Next() for nothing.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

  /// What is where.
  struct Load {
    size_t in_flight = 0;  ///< all, also those that wait for experts
    size_t waiting = 0;
    size_t ahead = 0;  ///< on decoders and before the encoder
    std::uint64_t bytes = 0;
    double waiting_bytes = 0.0;  ///< of these, what waits has
    size_t callers = 0;
  };
  Load load() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return {.in_flight = share_.in_flight(),
            .waiting = share_.waiting(),
            .ahead = ahead_.size(),
            .bytes = share_.bytes(),
            .waiting_bytes = share_.waiting_bytes(),
            .callers = share_.callers()};
  }

  /// Who would be served before one that comes now.
  FairShare::Ahead AheadOf(std::string_view caller, Priority priority) const
      ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return share_.AheadOf(caller, priority);
  }

 private:
  void Leave(FairShare::Id id) override ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    share_.Leave(id);
    NoLongerAhead(id);
  }

  void Encoding(FairShare::Id id) override ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    NoLongerAhead(id);
  }

  bool Hold(FairShare::Id id, std::uint64_t bytes) override ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return share_.Hold(id, bytes);
  }

  void NoLongerAhead(FairShare::Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ahead_.erase(id) > 0) changed_.notify_one();
  }

  /// What a caller's going runs, on any thread. The room's own lock may be held by who waits for
  /// its end (TakeOut), so it must not be taken.
  struct TellGone {
    WaitingRoom* room;
    FairShare::Id id;
    void operator()() const {
      core::MutexLock lock(room->gone_mutex_);
      room->gone_.insert(id);
    }
  };
  struct Waiting {
    Item item;
    std::optional<std::stop_callback<TellGone>> watch;
  };

  /// Of one who waits.
  Item TakeOut(FairShare::Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = waiting_.find(id);
    Item item = std::move(found->second.item);
    waiting_.erase(found);  // From here on its watch tells nothing.
    core::MutexLock lock(gone_mutex_);
    gone_.erase(id);
    return item;
  }

  std::vector<Item> TakeGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::unordered_set<FairShare::Id> ids;
    {
      core::MutexLock lock(gone_mutex_);
      ids.swap(gone_);
    }
    std::vector<Item> gone;
    for (const FairShare::Id id : ids) {
      share_.Leave(id);
      gone.push_back(TakeOut(id));
    }
    return gone;
  }

  bool SomebodyHasGone() const ABSL_LOCKS_EXCLUDED(gone_mutex_) {
    core::MutexLock lock(gone_mutex_);
    return !gone_.empty();
  }

  const Options options_;
  mutable core::Mutex mutex_;
  std::condition_variable changed_;
  FairShare share_ ABSL_GUARDED_BY(mutex_);
  std::unordered_set<FairShare::Id> ahead_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  mutable core::Mutex gone_mutex_;  // Is taken last, and held for a moment.
  std::unordered_set<FairShare::Id> gone_ ABSL_GUARDED_BY(gone_mutex_);  // of those who wait
  // Last: slots and watches that end with it use the rest.
  std::unordered_map<FairShare::Id, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::router
