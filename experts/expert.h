#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/tensor.h"
#include "experts/attempt_log.h"
#include "model/expert_head.h"

namespace orchard::experts {

/// Some rows of a micro-batch, on their way to one expert.
struct SubBatch {
  /// Of the kind that the expert reads. Shared with the other calls of the micro-batch; null where
  /// nobody could make it, which the expert refuses.
  std::shared_ptr<const core::View> view;
  std::vector<size_t> rows;  ///< indices into `view`
};

/// Who waits for a row; goes to the expert with it.
struct Caller {
  std::string request_id;
  std::string traceparent;  ///< W3C trace context; empty: none
};

/// What goes along with a call.
struct CallContext {
  core::Clock::time_point deadline;  ///< the answer is of no use after it
  std::vector<Caller> callers = {};  ///< by row of the sub-batch; may be empty
  /// Asks to stop when nobody waits for any row any more.
  std::stop_token cancelled = {};
  /// Where the attempts are to be written down; null: nobody wants to know. An expert that makes
  /// none, as one in process, writes none.
  std::shared_ptr<AttemptLog> attempts = nullptr;
};

/// Why a chosen domain has no answer: the label `reason` of orchard_missing_total.
enum class MissingReason : std::uint8_t {
  kDown,        ///< nobody is there: not connected, draining, or no address at all
  kTimeout,     ///< no answer in time
  kOverloaded,  ///< too much waits already, there or here
  kEjected,     ///< it failed too often lately
  kForeign,     ///< it serves another model, or means something else by this part
  kFailed,      ///< it answered with an error, or with what is no answer
  kCold,        ///< it has no address, or had none and is being started
};
inline constexpr size_t kMissingReasons = 7;

/// The label: "down", "timeout", ...
std::string_view Name(MissingReason reason);

/// What a failed call's status says about the reason.
MissingReason ReasonOf(const absl::Status& status);

/// How a call ended.
struct Scored {
  absl::StatusOr<model::ScoreBatch> scores;  ///< a status: the expert failed, whatever its code
  MissingReason reason = MissingReason::kFailed;  ///< of an error
  std::string part_version = {};                  ///< of an answer
};

/// One domain's expert as the router sees it: in process or behind an address. Thread-safe.
class Expert {
 public:
  using Done = absl::AnyInvocable<void(Scored) &&>;

  virtual ~Expert() = default;

  /// Scores `batch` and calls `done` exactly once, at the latest shortly after the deadline: on
  /// this thread before returning, or later on another one. Rows of the answer are in the order of
  /// `batch.rows`.
  virtual void Score(SubBatch batch, CallContext context, Done done) = 0;

  /// Ends the calls in progress early and refuses those that come, with UNAVAILABLE. When this
  /// returns, every `done` has run. Idempotent; not from a `done`.
  virtual void Stop() = 0;

  /// Why nobody would answer; nothing: worth asking. Reads a value: no lock, no allocation, no I/O.
  virtual std::optional<MissingReason> Unavailable() const = 0;

  /// Somebody waits for it while it is being started: looks whether it is there. May come often,
  /// and is quick: what takes time is done elsewhere, and not more often than makes sense.
  virtual void Hurry() {}
};

}  // namespace orchard::experts
