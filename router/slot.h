#pragma once

#include <cstdint>
#include <utility>

#include "router/fair_share.h"

namespace orchard::router {

/// Who gave places, seen from a Slot.
class Places {
 public:
  /// The place is free again.
  virtual void Leave(FairShare::Id id) = 0;
  /// The encoder has taken the picture.
  virtual void Encoding(FairShare::Id id) = 0;
  /// It wants to hold so many bytes more; false: there is no room, and it may not.
  virtual bool Hold(FairShare::Id id, std::uint64_t bytes) = 0;

 protected:
  ~Places() = default;
};

/// Proof of admission. Moves along with the request; its end frees the place.
class Slot {
 public:
  Slot() = default;
  Slot(Places* places, FairShare::Id id) : places_(places), id_(id) {}
  ~Slot() { Free(); }

  Slot(Slot&& other) noexcept : places_(std::exchange(other.places_, nullptr)), id_(other.id_) {}
  Slot& operator=(Slot&& other) noexcept {
    if (this == &other) return *this;
    Free();
    places_ = std::exchange(other.places_, nullptr);
    id_ = other.id_;
    return *this;
  }

  /// No longer counts among those before the encoder.
  void Encoding() const {
    if (places_ != nullptr) places_->Encoding(id_);
  }

  /// Whether so many bytes more may be held until the place is given back; without a place: yes.
  bool Hold(std::uint64_t bytes) const { return places_ == nullptr || places_->Hold(id_, bytes); }

  /// Gives the place back, once.
  void Free() {
    if (Places* const places = std::exchange(places_, nullptr)) places->Leave(id_);
  }

 private:
  Places* places_ = nullptr;
  FairShare::Id id_ = 0;
};

}  // namespace orchard::router
