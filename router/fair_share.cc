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

const WaitingLine::Member* FairShare::Richest(const Ask& ask, const Caller* own, Full full,
                                              size_t priority) const {
  if (full == Full::kCaller) {  // Only one of its own makes room.
    return own->of[priority].waiting() > 0 ? &own->of[priority] : nullptr;
  }
  const std::uint64_t left = limits_.bytes - std::min(limits_.bytes, bytes_);
  return lines_[priority].Richest([&](Id newest) {
    return full != Full::kBytes || ask.bytes <= left + entries_.at(newest).bytes;
  });
}

/// The newest request that waits of whoever has more than its share; one whose going makes room.
std::optional<FairShare::Evicted> FairShare::Victim(const Ask& ask, const Caller* own,
                                                    Full full) const {
  if (ask.priority == Priority::kInteractive &&
      lines_[kBatch].in_flight() > std::max<size_t>(1, limits_.in_flight / kBatchKeeps)) {
    if (const WaitingLine::Member* const batch = Richest(ask, own, full, kBatch)) {
      return Evicted{batch->newest(), Shed::kBatchPriority};
    }
  }
  const auto priority = static_cast<size_t>(ask.priority);
  const WaitingLine::Member* const mine = own == nullptr ? nullptr : &own->of[priority];
  const WaitingLine::Member* const most = Richest(ask, own, full, priority);
  if (most == nullptr || most == mine) return std::nullopt;
  const size_t has = mine == nullptr ? 0 : mine->in_flight();
  if (most->in_flight() < has + 2) return std::nullopt;
  if (full == Full::kBytes) {  // By bytes as well it must have more than who comes.
    const Entry& newest = entries_.at(most->newest());
    const std::uint64_t own_bytes = own == nullptr ? 0 : own->bytes;
    if (newest.caller->bytes - newest.bytes < own_bytes + ask.bytes) return std::nullopt;
  }
  return Evicted{most->newest(), Shed::kCallerShare};
}

Shed FairShare::ReasonOf(const Ask& ask, const Caller* own, Full full) const {
  if (full == Full::kBytes) return Shed::kBytes;
  if (full == Full::kCaller) return Shed::kCallerShare;
  if (ask.priority == Priority::kBatch && lines_[kInteractive].in_flight() > 0)
    return Shed::kBatchPriority;
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
  lines_[priority].Enter(caller.of[priority], id);
  caller.bytes += ask.bytes;
  bytes_ += ask.bytes;
  waiting_bytes_ += static_cast<double>(ask.bytes);
  return id;
}

std::optional<FairShare::Id> FairShare::Next() {
  if (waiting() == 0) return std::nullopt;
  const bool batch_waits = lines_[kBatch].waiting() > 0;
  const bool batch =
      batch_waits && (lines_[kInteractive].waiting() == 0 || since_batch_ >= kTurnsBeforeBatch);
  since_batch_ = batch || !batch_waits ? 0 : since_batch_ + 1;
  const Id id = lines_[batch ? kBatch : kInteractive].Next();
  Entry& entry = entries_.at(id);
  entry.waits = false;
  waiting_bytes_ -= static_cast<double>(entry.bytes);
  return id;
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
  entries_.erase(id);
  const auto priority = static_cast<size_t>(entry.priority);
  Caller& caller = *entry.caller;
  lines_[priority].Leave(caller.of[priority], id);
  if (entry.waits) waiting_bytes_ -= static_cast<double>(entry.bytes);
  caller.bytes -= entry.bytes;
  bytes_ -= entry.bytes;
  if (caller.all() == 0) callers_.erase(std::string(caller.name));
}

FairShare::Ahead FairShare::AheadOf(std::string_view caller, Priority asked) const {
  const auto priority = static_cast<size_t>(asked);
  const Caller* const own = Find(caller);
  size_t ahead = lines_[priority].Ahead(own == nullptr ? nullptr : &own->of[priority]);
  if (asked == Priority::kInteractive) {
    ahead += std::min(lines_[kBatch].waiting(), (ahead + 1) / kTurnsBeforeBatch);
  } else {
    ahead += std::min(lines_[kInteractive].waiting(), (ahead + 1) * kTurnsBeforeBatch);
  }
  const double mean = waiting() == 0 ? 0.0 : waiting_bytes_ / static_cast<double>(waiting());
  return {.requests = ahead, .bytes = mean * static_cast<double>(ahead)};
}

}  // namespace orchard::router
