#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

#include "core/clock.h"
#include "core/linear_time.h"
#include "core/mutex.h"
#include "router/domain_times.h"

namespace orchard::router {

/// What lies before a request that comes now, by where it is.
struct Backlog {
  size_t waiting = 0;          ///< for their turn to be decoded, before it
  double waiting_bytes = 0.0;  ///< of these
  size_t decoding = 0;         ///< on a decode worker
  size_t decoded = 0;          ///< for the encoder
  size_t encoding = 0;         ///< in a forward pass
};

/// How much more time a request needs.
struct Needed {
  core::Clock::duration waiting{};  ///< for those before it
  core::Clock::duration own{};      ///< decoding, a forward pass, the quick experts
  core::Clock::duration all() const { return waiting + own; }
};

/// How long the costly stages take, learned as they run, and what follows for a request that comes.
/// Decisions and reasons: docs/decisions/0015-admission.md. Thread-safe.
class Estimates {
 public:
  struct Workers {
    size_t decode = 1;
    size_t encode = 1;
    size_t max_batch = 4;  ///< pictures a forward pass
  };
  /// For one model, of so many domains.
  Estimates(Workers workers, size_t domains) : Estimates(workers, std::vector<size_t>{domains}) {}
  /// For several, by their places (ServedModel::place): decoding and forward passes are learned
  /// together, as what waits is of all of them; experts apart, so that no model's slow ones refuse
  /// the pictures of another.
  Estimates(Workers workers, const std::vector<size_t>& domains)
      : workers_(workers), experts_(domains.begin(), domains.end()) {}

  void Decoded(size_t bytes, core::Clock::duration took) ABSL_LOCKS_EXCLUDED(mutex_);
  void Encoded(size_t pictures, core::Clock::duration took) ABSL_LOCKS_EXCLUDED(mutex_);
  /// All experts of a picture, whose most probable domain is `domain`, have answered.
  void Answered(size_t domain, core::Clock::duration took, size_t model = 0)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// A picture that was to wait `judged` for others waited `waited`. Waiting is judged by means,
  /// and half of all waits are longer; by how much, this learns.
  void Waited(core::Clock::duration judged, core::Clock::duration waited)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// Somebody was refused for want of time, and nobody else is in progress to measure anew.
  void Refused() ABSL_LOCKS_EXCLUDED(mutex_);

  /// Of a picture of `bytes` that comes now. The wait has its margin; a picture's own time has
  /// none: one that nobody stands before is refused only for what its stages take on average.
  Needed OfNew(const Backlog& backlog, size_t bytes, size_t model = 0) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  /// Of a picture that comes now, and of which nothing is known yet but that it has `largest` bytes
  /// at the most: no more than OfNew() of any such picture of any model.
  Needed OfUnseen(const Backlog& backlog, size_t largest) const ABSL_LOCKS_EXCLUDED(mutex_);
  /// Without the margin; for Waited().
  core::Clock::duration WaitBehind(const Backlog& backlog, size_t bytes) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// What is left before decoding a picture of `bytes`.
  core::Clock::duration FromDecode(size_t bytes, size_t model = 0) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  /// What is left before a forward pass of `pictures`.
  core::Clock::duration FromEncode(size_t pictures, size_t model = 0) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// What the experts of a quick picture take, all waves together.
  core::Clock::duration OfExperts(size_t model = 0) const ABSL_LOCKS_EXCLUDED(mutex_);

  /// For gauges.
  struct Figures {
    double decode_seconds = 0.0;          ///< of a picture of recent size
    double encode_alpha_seconds = 0.0;    ///< of a pass, whatever its size
    double encode_picture_seconds = 0.0;  ///< of each picture in it
    double experts_seconds = 0.0;         ///< the quick tenth, of the model where it is longest
    double wait_margin = 1.0;             ///< what a judged wait is multiplied by
  };
  Figures figures() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  /// How long each of the two costly stages is busy with what lies before a picture.
  struct Busy {
    core::Clock::duration decoders, encoders;
    /// What a picture waits that is then decoded for so long.
    core::Clock::duration Wait(core::Clock::duration decoding) const;
  };
  Busy BusyWith(const Backlog& backlog) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// What a picture of `bytes` takes to decode.
  core::Clock::duration Decoding(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// `wait` behind others, with the margin, and in the pass that it then shares.
  core::Clock::duration Behind(const Backlog& backlog, core::Clock::duration wait) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double Margin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Workers workers_;
  mutable core::Mutex mutex_;
  core::LinearTime decode_ ABSL_GUARDED_BY(mutex_);           // by bytes
  core::LinearTime encode_ ABSL_GUARDED_BY(mutex_);           // by pictures
  std::vector<DomainTimes> experts_ ABSL_GUARDED_BY(mutex_);  // by model
  double recent_bytes_ ABSL_GUARDED_BY(mutex_) = 0.0;
  double ratio_ ABSL_GUARDED_BY(mutex_) = 1.0;      // waited over judged, a faded mean
  double deviation_ ABSL_GUARDED_BY(mutex_) = 0.0;  // from it
};

/// Whether `needed` more work can be done by `until`.
/// Errors: DEADLINE_EXCEEDED with both figures (ShedBy() says kDeadline).
absl::Status CheckBudget(core::Clock::time_point now, core::Clock::time_point until,
                         core::Clock::duration needed);

}  // namespace orchard::router
