#pragma once

#include <cstddef>
#include <vector>

#include "core/clock.h"

namespace orchard::router {

/// How long experts take, by the domain that a picture most probably belongs to: from the plan
/// until all that were asked have answered, in all waves. Not thread-safe: the owner locks.
///
/// At admission nobody knows what a picture shows. One mean for all domains would let a slow one
/// refuse the pictures of quick ones; so what is asked for then is the time of the quick tenth of
/// recent pictures: what can't be kept even so is refused. Whose domain turns out to be a slow one
/// gets what came in time, or is late: that is the domain's fault, and stays with it.
class DomainTimes {
 public:
  explicit DomainTimes(size_t domains) : domains_(domains) {}

  /// A picture whose most probable domain is `domain` had all answers after `took`.
  void Add(size_t domain, core::Clock::duration took);

  /// The longest time of the quick tenth of recent pictures, at a domain's mean. Zero when there
  /// were none. Computed with every sixteenth Add().
  core::Clock::duration Quick() const;

  /// As LinearTime::Refused().
  void Refused();

 private:
  struct Domain {
    double seconds = 0.0;
    double share = 0.0;  // of recent pictures, up to a common factor
  };

  void Sort();

  std::vector<Domain> domains_;
  double quick_ = 0.0;
  double one_ = 1.0;  // what the next picture's share is: it grows, instead of all others fading
  size_t added_ = 0;
};

}  // namespace orchard::router
