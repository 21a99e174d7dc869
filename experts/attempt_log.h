#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::experts {

/// One try of a call at one endpoint.
struct AttemptRecord {
  enum class Kind : std::uint8_t { kFirst, kRetry, kHedge };

  Kind kind = Kind::kFirst;
  std::string endpoint;  ///< HOST:PORT
  core::Clock::time_point begin = {}, end = {};
  absl::StatusCode code = absl::StatusCode::kOk;
  /// As the expert said; 0 when it did not.
  core::Clock::duration queue = {}, compute = {};
};

/// "first", "retry", "hedge".
std::string_view Name(AttemptRecord::Kind kind);

/// The attempts of one call, as they come and go. Who waits for the call may look at any time: a
/// call that is given up has been tried too, and its answer, with which the attempts could have
/// come, is heard by nobody. Shared by both sides, either of which may be gone first. Thread-safe.
class AttemptLog {
 public:
  /// An attempt begins. Returns its number, for Ended().
  size_t Began(AttemptRecord attempt) ABSL_LOCKS_EXCLUDED(mutex_);

  /// It is over, and became this.
  void Ended(size_t number, AttemptRecord attempt) ABSL_LOCKS_EXCLUDED(mutex_);

  /// All attempts so far, in the order of their beginnings; those that are still out end `now`,
  /// with `given_up`.
  std::vector<AttemptRecord> Snapshot(core::Clock::time_point now, absl::StatusCode given_up) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Attempt {
    AttemptRecord record;
    bool ended = false;
  };

  mutable core::Mutex mutex_;  // Innermost: a call holds its own.
  std::vector<Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::experts
