#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "router/refusal.h"
#include "router/waiting_line.h"

namespace orchard::router {

/// What a caller asks for with `x-priority`; `batch` yields to the other.
enum class Priority : std::uint8_t { kInteractive, kBatch };
inline constexpr size_t kPriorities = 2;

/// Who may come in, and in which order what waits is served: places, bytes and turns, shared out
/// between callers. No threads and no clock: the owner locks (waiting_room.h).
///
/// A lone caller may take all places but a sixteenth, which others find free also when all that the
/// first has is being worked on. When everything is taken, one who has less than another gets the
/// place of that other's newest request that still waits, so a second caller is let in at once and
/// the first keeps all but what is fair: in the end nobody has more than one place more than
/// anybody who was refused. In the same way interactive requests take the places of batch requests,
/// down to an eighth of the places, which batch keeps. What somebody works on is never taken away.
///
/// Turns: interactive before batch, but every ninth turn is batch's, so that it never starves;
/// within each, callers take turns; of one caller, first come is first served.
///
/// Memory: as many callers and entries as places; a caller without a request is forgotten.
class FairShare {
 public:
  struct Limits {
    size_t in_flight = 256;  ///< places: waiting, worked on, or waiting for experts
    size_t waiting = 256;    ///< of these, those that wait for their turn
    std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();  ///< of all pictures held
  };
  struct Ask {
    std::string_view caller = {};
    Priority priority = Priority::kInteractive;
    std::uint64_t bytes = 0;
  };
  using Id = WaitingLine::Id;
  /// Who had to go for somebody else, and the name of the reason.
  struct Evicted {
    Id id;
    Shed reason;
  };
  struct Decision {
    std::optional<Id> id;               ///< absent: refused
    Shed reason = {};                   ///< of the refusal
    std::vector<Evicted> evicted = {};  ///< gone already: Leave() is not needed
  };
  /// Who would be served before one that comes now.
  struct Ahead {
    size_t requests = 0;
    double bytes = 0.0;
  };

  explicit FairShare(Limits limits) : limits_(limits) {}

  // Callers point into the map.
  FairShare(const FairShare&) = delete;
  FairShare& operator=(const FairShare&) = delete;

  /// Whether Enter() would let in without taking anybody's place.
  bool HasRoomFor(const Ask& ask) const {
    return WhatIsFull(ask, Find(ask.caller)) == Full::kNothing;
  }

  /// Lets in, if need be in the place of others, or refuses: then nothing has changed.
  Decision Enter(const Ask& ask);

  /// Why Enter() would refuse; nothing when it would let in.
  std::optional<Shed> WouldRefuse(const Ask& ask) const { return Judge(ask).refused; }

  /// Whose turn it is: from now on it is worked on. Nothing when nobody waits.
  std::optional<Id> Next();

  /// Whether who is worked on may hold so many bytes more, until it leaves: as long as half of all
  /// bytes stay free, for files.
  bool Hold(Id id, std::uint64_t bytes);

  /// It is over, wherever it was. An id that is gone already is ignored.
  void Leave(Id id);

  Ahead AheadOf(std::string_view caller, Priority priority) const;

  const Limits& limits() const { return limits_; }
  size_t in_flight() const { return entries_.size(); }
  size_t waiting() const { return lines_[0].waiting() + lines_[1].waiting(); }
  std::uint64_t bytes() const { return bytes_; }
  double waiting_bytes() const { return waiting_bytes_; }
  size_t callers() const { return callers_.size(); }
  /// Places that `caller` has.
  size_t InFlightOf(std::string_view caller) const;

 private:
  struct Caller {
    std::string name;
    std::array<WaitingLine::Member, kPriorities> of;  // by priority
    std::uint64_t bytes = 0;

    size_t all() const { return of[0].in_flight() + of[1].in_flight(); }
  };
  struct Entry {
    Caller* caller;
    Priority priority;
    std::uint64_t bytes;
    bool waits;
  };
  /// What is missing for one more.
  enum class Full : std::uint8_t { kNothing, kInFlight, kCaller, kWaiting, kBytes };

  /// What becomes of one who comes: refused, let in for somebody else, or just let in.
  struct Judgement {
    std::optional<Shed> refused = std::nullopt;
    std::optional<Evicted> victim = std::nullopt;
  };

  Judgement Judge(const Ask& ask) const;
  Full WhatIsFull(const Ask& ask, const Caller* own) const;
  std::optional<Evicted> Victim(const Ask& ask, const Caller* own, Full full) const;
  Shed ReasonOf(const Ask& ask, const Caller* own, Full full) const;
  const Caller* Find(std::string_view caller) const;
  Id Add(const Ask& ask);
  void Remove(Id id);
  /// The caller whose newest request of `priority` goes first to make room for `ask`; null: none.
  const WaitingLine::Member* Richest(const Ask& ask, const Caller* own, Full full,
                                     size_t priority) const;

  const Limits limits_;
  std::unordered_map<std::string, Caller> callers_;
  std::unordered_map<Id, Entry> entries_;
  std::array<WaitingLine, kPriorities> lines_;
  std::uint64_t bytes_ = 0;
  double waiting_bytes_ = 0.0;
  size_t since_batch_ = 0;  // interactive turns in a row while batch waited
  Id last_ = 0;
};

}  // namespace orchard::router
