#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/clock.h"

namespace orchard::router {

/// Where a picture is on its way, in the order of the line.
enum class Stage : std::uint8_t {
  kAdmission,
  kDecodeQueue,
  kDecode,
  kEncodeQueue,
  kEncode,
  kExperts,
  kCombine
};
inline constexpr size_t kStages = 7;

/// "admission", "decode_queue", "decode", …: as the log says it.
constexpr std::string_view Name(Stage stage) {
  constexpr std::array<std::string_view, kStages> kNames = {
      "admission", "decode_queue", "decode", "encode_queue", "encode", "experts", "combine"};
  return kNames[static_cast<size_t>(stage)];
}

/// When one picture was in which stage. It is in one at a time: where one ends, the next begins.
/// Not thread-safe: it goes along with its request.
class Passage {
 public:
  explicit Passage(core::Clock::time_point begin) {
    begin_.fill(begin);
    end_.fill(begin);
  }

  /// `stage` comes after the one it was in.
  void Enter(Stage stage, core::Clock::time_point now) {
    End(now);
    last_ = stage;
    begin_[Index(stage)] = end_[Index(stage)] = now;
  }
  /// It did not get further than `stage` after all: the next one refused it.
  void GoBack(Stage stage) { last_ = stage; }
  /// The end of the last stage; may be said again.
  void End(core::Clock::time_point now) { end_[Index(last_)] = now; }

  /// The stage it is in, or ended in.
  Stage last() const { return last_; }
  bool Reached(Stage stage) const { return stage <= last_; }

  core::Clock::time_point begin(Stage stage) const { return begin_[Index(stage)]; }
  core::Clock::time_point end(Stage stage) const { return end_[Index(stage)]; }

  /// Zero when it was not reached.
  core::Clock::duration In(Stage stage) const {
    return Reached(stage) ? end(stage) - begin(stage) : core::Clock::duration::zero();
  }
  /// All waiting between stages.
  core::Clock::duration Queued() const { return In(Stage::kDecodeQueue) + In(Stage::kEncodeQueue); }
  core::Clock::duration Total() const { return end(last_) - begin(Stage::kAdmission); }

 private:
  static constexpr size_t Index(Stage stage) { return static_cast<size_t>(stage); }

  std::array<core::Clock::time_point, kStages> begin_;
  std::array<core::Clock::time_point, kStages> end_;
  Stage last_ = Stage::kAdmission;
};

}  // namespace orchard::router
