#include "router/waiting_line.h"

#include <algorithm>

namespace orchard::router {

/// Before and after every change of what a member's standing is made of.
void WaitingLine::Unlist(const Member& member) {
  if (member.waiting() > 0) richest_.erase(Standing{member.in_flight_, member.turn_, &member});
}

void WaitingLine::List(const Member& member) {
  if (member.waiting() > 0) richest_.insert(Standing{member.in_flight_, member.turn_, &member});
}

void WaitingLine::GoBehind(Member& member) {
  member.turn_ = ++last_turn_;
  turns_.emplace_hint(turns_.end(), member.turn_, &member);
}

void WaitingLine::Enter(Member& member, Id id) {
  Unlist(member);
  if (member.waiting() == 0) GoBehind(member);
  if (with_more_than_.size() == member.waiting()) with_more_than_.push_back(0);
  ++with_more_than_[member.waiting()];
  member.waiting_.insert(member.waiting_.end(), id);
  ++member.in_flight_;
  ++waiting_;
  ++in_flight_;
  List(member);
}

WaitingLine::Id WaitingLine::Next() {
  Member& member = *turns_.begin()->second;
  const Id id = *member.waiting_.begin();
  Unlist(member);
  StopWaiting(member, id);
  if (member.waiting() > 0) {
    turns_.erase(member.turn_);
    GoBehind(member);
  }
  List(member);
  return id;
}

void WaitingLine::Leave(Member& member, Id id) {
  Unlist(member);
  if (member.waiting_.contains(id)) StopWaiting(member, id);
  --member.in_flight_;
  --in_flight_;
  List(member);
}

void WaitingLine::StopWaiting(Member& member, Id id) {
  member.waiting_.erase(id);
  --with_more_than_[member.waiting()];
  --waiting_;
  if (member.waiting() == 0) turns_.erase(member.turn_);
}

/// Callers take turns: of each, as many are before it as its own that wait and itself, or what
/// there is. That is how many have more than 0 that wait, and more than 1, and so on.
size_t WaitingLine::Ahead(const Member* own) const {
  const size_t mine = own == nullptr ? 0 : own->waiting();
  size_t ahead = 0;
  if (turns_.size() <= mine) {
    for (const auto& [turn, member] : turns_) ahead += std::min(member->waiting(), mine + 1);
  } else {
    for (size_t n = 0; n <= mine && n < with_more_than_.size(); ++n) ahead += with_more_than_[n];
  }
  return ahead;
}

}  // namespace orchard::router
