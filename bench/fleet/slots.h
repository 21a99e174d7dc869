#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace orchard::bench {

/// Things in progress, each with a number that is never used again: who holds the number of one
/// that is over finds nothing. So an event need not be taken back when its time was too late.
template <typename T>
class Slots {
 public:
  using Id = std::uint64_t;

  Id Add(T item) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].item = std::move(item);
    ++used_;
    return Id{slots_[index].round} << kRoundShift | index;
  }

  /// Valid until Take(); null when it is over.
  T* Find(Id id) {
    Slot& slot = slots_[static_cast<std::uint32_t>(id)];
    return slot.item && slot.round == id >> kRoundShift ? &*slot.item : nullptr;
  }

  /// It must be there.
  T Take(Id id) {
    Slot& slot = slots_[static_cast<std::uint32_t>(id)];
    T item = *std::move(slot.item);
    slot.item.reset();
    ++slot.round;
    --used_;
    free_.push_back(static_cast<std::uint32_t>(id));
    return item;
  }

  /// Those that are in progress, by number.
  std::vector<Id> All() const {
    std::vector<Id> ids;
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].item) ids.push_back(Id{slots_[i].round} << kRoundShift | i);
    }
    return ids;
  }

  size_t size() const { return used_; }

 private:
  static constexpr unsigned kRoundShift = 32;
  struct Slot {
    std::optional<T> item;
    std::uint32_t round = 0;
  };
  std::deque<Slot> slots_;
  std::vector<std::uint32_t> free_;
  size_t used_ = 0;
};

}  // namespace orchard::bench
