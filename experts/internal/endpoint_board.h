#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"

#include "core/mutex.h"
#include "experts/endpoint_state.h"
#include "experts/expert.h"
#include "experts/fleet_events.h"
#include "experts/internal/endpoint.h"
#include "experts/places.h"
#include "experts/resolver.h"
#include "experts/target.h"

namespace orchard::experts::internal {

/// The endpoints of a domain at one moment. Immutable; shared by whoever looks at it.
using EndpointSet = std::vector<std::shared_ptr<Endpoint>>;

/// Which endpoints a domain has, and what they are worth together. Thread-safe.
///
/// Targets and look-ups make a new snapshot; endpoints of addresses that stay are kept as they are,
/// and those that went are kept until nobody uses them. Asks nobody anything by itself.
///
/// With a subset it connects to the first addresses in the router's own order (subset.h) until so
/// many are sound, or all are tried: one that can't be used has the next one stand in until it can
/// again. So no more than that are up at a time.
///
/// A domain is cold from when all its names are known to have no address, and nobody can be asked,
/// until somebody was reached: an address that was just listed may take a moment to listen.
class EndpointBoard {
 public:
  using OnTransition = std::function<void(const EndpointTransition&)>;
  using OnLookUpFailed = std::function<void(const std::string& host, const absl::Status&)>;

  struct Subset {
    size_t size = 0;           ///< endpoints that are wanted; 0: all
    std::uint64_t router = 0;  ///< who we are
  };

  /// `resolver` outlives it.
  EndpointBoard(ChannelOptions channel, Subset subset, Resolver& resolver,
                OnTransition on_transition, OnLookUpFailed on_look_up_failed);
  ~EndpointBoard() { Close(); }
  EndpointBoard(const EndpointBoard&) = delete;
  EndpointBoard& operator=(const EndpointBoard&) = delete;

  void SetTargets(std::vector<Target> targets)
      ABSL_LOCKS_EXCLUDED(targets_mutex_, names_mutex_, set_mutex_, review_mutex_);

  /// No look-up changes anything any more. Idempotent.
  void Close() ABSL_LOCKS_EXCLUDED(targets_mutex_, names_mutex_, set_mutex_);

  std::shared_ptr<const EndpointSet> Snapshot() const ABSL_LOCKS_EXCLUDED(set_mutex_);

  /// Whether every name was looked up at least once, well or not.
  bool LookedUp() const ABSL_LOCKS_EXCLUDED(names_mutex_);

  /// Looks all names up, but none again within `least`; nothing: the resolver's own limit.
  void HurryNames(std::optional<std::chrono::milliseconds> least = std::nullopt)
      ABSL_LOCKS_EXCLUDED(names_mutex_);

  /// Judges anew, and tells what changed.
  void Review() ABSL_LOCKS_EXCLUDED(review_mutex_, set_mutex_, names_mutex_);

  /// As of the last review; reads a value.
  std::optional<MissingReason> unavailable() const {
    const std::int8_t reason = unavailable_;
    if (reason == kAvailable) return std::nullopt;
    return static_cast<MissingReason>(reason);
  }
  bool all_bad() const { return all_bad_; }
  bool all_up() const { return all_up_; }

  /// Lets go of endpoints that have left and are not used any more. Not on a thread of gRPC
  /// (call_group.h).
  void Sweep() ABSL_LOCKS_EXCLUDED(set_mutex_);

 private:
  /// A name among the targets.
  struct Name {
    Resolver::Watch watch = 0;
    bool looked_up = false;
    bool empty = false;  // whoever knows said that there is no address
    HostAddresses addresses = {};
  };
  static constexpr std::int8_t kAvailable = -1;

  bool AllNamesEmpty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mutex_);
  std::optional<MissingReason> WhyUnavailable(const Verdict& verdict, bool named, bool names_empty)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(review_mutex_);

  void Found(const std::string& host, const absl::StatusOr<HostAddresses>& addresses)
      ABSL_LOCKS_EXCLUDED(names_mutex_, set_mutex_, review_mutex_);
  void Rebuild() ABSL_LOCKS_EXCLUDED(names_mutex_, set_mutex_, review_mutex_);
  std::vector<Place> Places() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mutex_);
  std::vector<Place> Ranked(std::vector<Place> places) const;
  EndpointSet Fit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mutex_) ABSL_LOCKS_EXCLUDED(set_mutex_);
  size_t MostEjected(size_t connected, size_t known) const;

  const ChannelOptions channel_;
  const Subset subset_;
  Resolver& resolver_;
  const OnTransition on_transition_;
  const OnLookUpFailed on_look_up_failed_;

  core::Mutex targets_mutex_;  // One SetTargets() at a time; before all others.
  mutable core::Mutex names_mutex_;
  std::vector<Target> targets_ ABSL_GUARDED_BY(names_mutex_);
  std::map<std::string, Name> names_ ABSL_GUARDED_BY(names_mutex_);
  // All that are known, in the order in which they are wanted; set_ has endpoints of the first.
  std::vector<Place> places_ ABSL_GUARDED_BY(names_mutex_);

  mutable core::Mutex set_mutex_;  // Innermost.
  std::shared_ptr<const EndpointSet> set_ ABSL_GUARDED_BY(set_mutex_);
  EndpointSet retired_ ABSL_GUARDED_BY(set_mutex_);

  core::Mutex review_mutex_;  // One Review() at a time; before names_mutex_.
  // Nobody was reached since there was no address: it is being started.
  bool cold_ ABSL_GUARDED_BY(review_mutex_) = false;
  std::atomic<std::int8_t> unavailable_ = static_cast<std::int8_t>(MissingReason::kDown);
  std::atomic<bool> all_bad_ = false;
  std::atomic<bool> all_up_ = false;
};

}  // namespace orchard::experts::internal
