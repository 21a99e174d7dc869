#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace orchard::router {

/// The callers of one priority with their requests: whose turn is next, who has the most places,
/// how many would be served before one that comes now. Callers take turns; of one caller, first
/// come is first served.
///
/// It is asked for every request of a flood, under the lock of all that come, so nothing looks at
/// all who wait: what changes or is asked takes a time that grows with the logarithm of their
/// number, but Ahead(). No threads and no clock: FairShare's.
class WaitingLine {
 public:
  using Id = std::uint64_t;

  /// What one caller has of this priority. Stays where it is while it has something.
  class Member {
   public:
    size_t in_flight() const { return in_flight_; }
    size_t waiting() const { return waiting_.size(); }
    /// Of what waits, and something does, what came last.
    Id newest() const { return *waiting_.rbegin(); }

   private:
    friend class WaitingLine;
    size_t in_flight_ = 0;    // what waits, and what is worked on
    std::set<Id> waiting_;    // the next one first: who comes later has a higher Id
    std::uint64_t turn_ = 0;  // while something waits: who has the lowest is next
  };

  /// Somebody comes, with a higher Id than all before.
  void Enter(Member& member, Id id);
  /// Whose turn it is: waits no longer, and its caller is now behind the others. Somebody waits.
  Id Next();
  /// It is over, whether it waited or not.
  void Leave(Member& member, Id id);

  size_t in_flight() const { return in_flight_; }
  size_t waiting() const { return waiting_; }

  /// How many would be served before a request of `own` that comes now; null: a new caller's. Looks
  /// at what `own` has that waits, or at all callers where they are fewer.
  size_t Ahead(const Member* own) const;

  /// Who has the most places of those whose newest request that waits `may_go`, and of equals whose
  /// turn is next. Null: nobody. Looks no further than it must.
  template <typename MayGo>
  const Member* Richest(const MayGo& may_go) const {
    for (const Standing& standing : richest_) {
      if (may_go(standing.member->newest())) return standing.member;
    }
    return nullptr;
  }

 private:
  struct Standing {
    size_t in_flight;
    std::uint64_t turn;
    const Member* member;

    bool operator<(const Standing& other) const {
      return in_flight != other.in_flight ? in_flight > other.in_flight : turn < other.turn;
    }
  };

  void Unlist(const Member& member);
  void List(const Member& member);
  void GoBehind(Member& member);
  void StopWaiting(Member& member, Id id);

  // Of members with something that waits.
  std::map<std::uint64_t, Member*> turns_;  // the next one first
  std::set<Standing> richest_;              // the richest first
  std::vector<size_t> with_more_than_;      // [n]: how many have more than n that wait
  size_t waiting_ = 0;
  size_t in_flight_ = 0;
  std::uint64_t last_turn_ = 0;
};

}  // namespace orchard::router
