#include "router/fair_share.h"

#include <algorithm>

namespace orchard::router {
namespace {

constexpr size_t kInteractive = static_cast<size_t>(Priority::kInteractive);
constexpr size_t kBatch = static_cast<size_t>(Priority::kBatch);
constexpr size_t kTurnsBeforeBatch = 8;  // interactive ones, then one of batch
constexpr size_t kBatchKeeps = 8;        // one place in so many, at least one
constexpr size_t kOthersKeep = 16;       // one place in so many

}  // namespace

FairShare::Full FairShare::WhatIsFull(const Ask& ask, const Caller* own) const {
  const size_t most = limits_.in_flight - limits_.in_flight / kOthersKeep;
  if (most < limits_.in_flight && own != nullptr && own->all() >= most) return Full::kCaller;
  if (in_flight() >= limits_.in_flight) return Full::kInFlight;
  if (waiting() >= limits_.waiting) return Full::kWaiting;
  // One alone is always let in, or a picture above the budget would be refused for ever.
  const std::uint64_t left = limits_.bytes - std::min(bytes_, limits_.bytes);
  if (bytes_ > 0 && ask.bytes > left) return Full::kBytes;
  return Full::kNothing;
}

const FairShare::Caller* FairShare::Find(std::string_view caller) const {
  const auto found = callers_.find(std::string(caller));
  return found == callers_.end() ? nullptr : &found->second;
}

size_t FairShare::InFlightOf(std::string_view caller) const {
  const Caller* const found = Find(caller);
  return found == nullptr ? 0 : found->all();
}

FairShare::Judgement FairShare::Judge(const Ask& ask) const {
  const Caller* const own = Find(ask.caller);
  const Full full = WhatIsFull(ask, own);
  if (full == Full::kNothing) return {};
  if (const std::optional<Evicted> victim = Victim(ask, own, full)) return {.victim = victim};
  return {.refused = ReasonOf(ask, own, full)};
}

FairShare::Decision FairShare::Enter(const Ask& ask) {
  const Judgement judgement = Judge(ask);
  Decision decision;
  if (judgement.refused) {
    decision.reason = *judgement.refused;
    return decision;
  }
  if (judgement.victim) {
    Remove(judgement.victim->id);
    decision.evicted.push_back(*judgement.victim);
  }
  decision.id = Add(ask);
  return decision;
}

/// The newest request that waits of whoever has more than its share; one whose going makes room.
std::optional<FairShare::Evicted> FairShare::Victim(const Ask& ask, const Caller* own,
                                                    Full full) const {
  const auto makes_room = [&](Id id) {
    if (full == Full::kCaller) return entries_.at(id).caller == own;
    return full != Full::kBytes ||
           ask.bytes <= limits_.bytes - std::min(limits_.bytes, bytes_) + entries_.at(id).bytes;
  };
  // The caller with the most places of a priority, among those that have one to lose.
  const auto richest = [&](size_t priority) -> const Caller* {
    const Caller* most = nullptr;
    for (const Caller* const caller : turns_[priority]) {
      if (!makes_room(caller->waiting[priority].back())) continue;
      if (most == nullptr || caller->in_flight[priority] > most->in_flight[priority]) most = caller;
    }
    return most;
  };
  if (ask.priority == Priority::kInteractive &&
      in_flight_[kBatch] > std::max<size_t>(1, limits_.in_flight / kBatchKeeps)) {
    if (const Caller* const batch = richest(kBatch)) {
      return Evicted{batch->waiting[kBatch].back(), Shed::kBatchPriority};
    }
  }
  const auto priority = static_cast<size_t>(ask.priority);
  const Caller* const most = richest(priority);
  if (most == nullptr || most == own) return std::nullopt;
  const size_t has = own == nullptr ? 0 : own->in_flight[priority];
  if (most->in_flight[priority] < has + 2) return std::nullopt;
  if (full == Full::kBytes) {  // By bytes as well it must have more than who comes.
    const std::uint64_t own_bytes = own == nullptr ? 0 : own->bytes;
    const std::uint64_t freed = entries_.at(most->waiting[priority].back()).bytes;
    if (most->bytes - freed < own_bytes + ask.bytes) return std::nullopt;
  }
  return Evicted{most->waiting[priority].back(), Shed::kCallerShare};
}

Shed FairShare::ReasonOf(const Ask& ask, const Caller* own, Full full) const {
  if (full == Full::kBytes) return Shed::kBytes;
  if (full == Full::kCaller) return Shed::kCallerShare;
  if (ask.priority == Priority::kBatch && in_flight_[kInteractive] > 0) return Shed::kBatchPriority;
  const bool has_its_share =
      own != nullptr && callers_.size() > 1 && own->all() * callers_.size() >= in_flight();
  if (has_its_share) return Shed::kCallerShare;
  return full == Full::kWaiting ? Shed::kQueue : Shed::kInFlight;
}

FairShare::Id FairShare::Add(const Ask& ask) {
  const auto priority = static_cast<size_t>(ask.priority);
  Caller& caller = callers_[std::string(ask.caller)];
  if (caller.name.empty()) caller.name = std::string(ask.caller);
  const Id id = ++last_;
  entries_.emplace(id, Entry{&caller, ask.priority, ask.bytes, true});
  if (caller.waiting[priority].empty()) turns_[priority].push_back(&caller);
  caller.waiting[priority].push_back(id);
  ++caller.in_flight[priority];
  ++in_flight_[priority];
  ++waiting_[priority];
  caller.bytes += ask.bytes;
  bytes_ += ask.bytes;
  waiting_bytes_ += static_cast<double>(ask.bytes);
  return id;
}

std::optional<FairShare::Id> FairShare::Next() {
  if (waiting() == 0) return std::nullopt;
  const bool batch =
      waiting_[kBatch] > 0 && (waiting_[kInteractive] == 0 || since_batch_ >= kTurnsBeforeBatch);
  since_batch_ = batch || waiting_[kBatch] == 0 ? 0 : since_batch_ + 1;
  return TakeTurn(batch ? kBatch : kInteractive);
}

FairShare::Id FairShare::TakeTurn(size_t priority) {
  Caller& caller = *turns_[priority].front();
  const Id id = caller.waiting[priority].front();
  Entry& entry = entries_.at(id);
  RemoveWaiting(id, entry);
  entry.waits = false;
  if (!caller.waiting[priority].empty()) {  // Behind the others.
    turns_[priority].splice(turns_[priority].end(), turns_[priority], turns_[priority].begin());
  }
  return id;
}

void FairShare::RemoveWaiting(Id id, const Entry& entry) {
  const auto priority = static_cast<size_t>(entry.priority);
  std::deque<Id>& waiting = entry.caller->waiting[priority];
  waiting.erase(std::ranges::find(waiting, id));
  if (waiting.empty()) turns_[priority].remove(entry.caller);
  --waiting_[priority];
  waiting_bytes_ -= static_cast<double>(entry.bytes);
}

bool FairShare::Hold(Id id, std::uint64_t bytes) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.waits) return false;
  const std::uint64_t half = limits_.bytes / 2;
  if (bytes > half - std::min(bytes_, half)) return false;
  found->second.bytes += bytes;
  found->second.caller->bytes += bytes;
  bytes_ += bytes;
  return true;
}

void FairShare::Leave(Id id) {
  if (entries_.contains(id)) Remove(id);
}

void FairShare::Remove(Id id) {
  const Entry entry = entries_.at(id);
  if (entry.waits) RemoveWaiting(id, entry);
  entries_.erase(id);
  const auto priority = static_cast<size_t>(entry.priority);
  Caller& caller = *entry.caller;
  --caller.in_flight[priority];
  --in_flight_[priority];
  caller.bytes -= entry.bytes;
  bytes_ -= entry.bytes;
  if (caller.all() == 0) callers_.erase(std::string(caller.name));
}

FairShare::Ahead FairShare::AheadOf(std::string_view caller, Priority asked) const {
  const auto priority = static_cast<size_t>(asked);
  const Caller* const own = Find(caller);
  const size_t mine = own == nullptr ? 0 : own->waiting[priority].size();
  size_t ahead = mine;
  for (const Caller* const other : turns_[priority]) {
    if (other != own) ahead += std::min(other->waiting[priority].size(), mine + 1);
  }
  if (asked == Priority::kInteractive) {
    ahead += std::min(waiting_[kBatch], (ahead + 1) / kTurnsBeforeBatch);
  } else {
    ahead += std::min(waiting_[kInteractive], (ahead + 1) * kTurnsBeforeBatch);
  }
  const double mean = waiting() == 0 ? 0.0 : waiting_bytes_ / static_cast<double>(waiting());
  return {.requests = ahead, .bytes = mean * static_cast<double>(ahead)};
}

}  // namespace orchard::router
