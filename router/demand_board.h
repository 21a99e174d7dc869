#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "core/timer_queue.h"
#include "router/demand_meter.h"
#include "router/total_demand.h"

namespace orchard::router {

/// What each expert is needed for, of this router and of its peers, for who scales them. Knows no
/// gRPC: what peers say is brought here (peer_watch.h), and who wants to know subscribes.
///
/// A thread of its own looks once a period, and at once when a domain's first picture comes or a
/// peer's word changes who is active. Thread-safe.
class DemandBoard {
 public:
  struct Options {
    DemandMeter::Options meter{};
    core::Clock::duration period = std::chrono::seconds(1);
    core::Clock::duration peer_patience = std::chrono::seconds(5);  ///< with one that is silent
    /// Whether there are replicas: experts in this process have none, and none are desired.
    bool scalable = true;
    /// What a row takes of one replica; nothing: nobody has said yet. Outlives the board.
    std::function<std::optional<double>(size_t domain)> service_seconds = nullptr;
  };
  /// What a subscriber is told.
  struct News {
    const std::vector<Demand>& own;
    bool own_changed = false;  ///< whether a domain of our own became active, or ceased to be
  };
  using Subscriber = std::function<void(const News& news)>;
  using Subscription = std::uint64_t;

  DemandBoard(std::string model, std::vector<std::string> domains, Options options);
  ~DemandBoard();
  DemandBoard(const DemandBoard&) = delete;
  DemandBoard& operator=(const DemandBoard&) = delete;

  /// Where pictures are counted.
  DemandMeter& meter() { return meter_; }

  const std::string& model() const { return model_; }
  const std::vector<std::string>& domains() const { return domains_; }
  bool scalable() const { return options_.scalable; }
  core::Clock::duration peer_patience() const { return options_.peer_patience; }
  /// Names this process among its peers: 16 hex digits.
  const std::string& instance() const { return instance_; }

  /// By domain, now.
  std::vector<Demand> Own();
  std::vector<Demand> Totals() ABSL_LOCKS_EXCLUDED(mutex_);

  /// What a peer said; `report.domains` in the order of domains().
  void Put(const std::string& address, PeerReport report) ABSL_LOCKS_EXCLUDED(mutex_);
  void Forget(const std::string& address) ABSL_LOCKS_EXCLUDED(mutex_);

  /// `subscriber` is told on the board's thread, every period and at each change. It must be quick.
  Subscription Subscribe(Subscriber subscriber) ABSL_LOCKS_EXCLUDED(publishing_);
  /// The subscriber is not running and will not run when this returns. Not from a subscriber, and
  /// without a lock that one takes.
  void Unsubscribe(Subscription subscription) ABSL_LOCKS_EXCLUDED(publishing_);

  /// Tells the subscribers soon, on the board's thread.
  void Wake();
  void WakeAt(core::Clock::time_point when);

 private:
  void Tick() ABSL_LOCKS_EXCLUDED(mutex_, publishing_);
  void Publish() ABSL_LOCKS_EXCLUDED(mutex_, publishing_);

  const std::string model_;
  const std::vector<std::string> domains_;
  const Options options_;
  const std::string instance_;
  DemandMeter meter_;

  core::Mutex publishing_;  // Of a whole round; before mutex_.
  std::map<Subscription, Subscriber> subscribers_ ABSL_GUARDED_BY(publishing_);
  Subscription last_ ABSL_GUARDED_BY(publishing_) = 0;
  std::vector<bool> active_ ABSL_GUARDED_BY(publishing_);  // ours, as was told last

  core::Mutex mutex_;
  PeerReports reports_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> woken_ = false;  // a round is to come
  core::TimerQueue timers_;          // Last: its thread uses the rest.
};

}  // namespace orchard::router
