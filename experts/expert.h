#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/tensor.h"
#include "model/expert_head.h"

namespace orchard::experts {

/// Some rows of a micro-batch, on their way to one expert.
struct SubBatch {
  /// Shared by all requests of the micro-batch that the encoder made; immutable.
  std::shared_ptr<const core::FeatureBatch> features;
  std::vector<size_t> rows;  ///< indices into `features`
};

/// What goes along with a call.
struct CallContext {
  core::Clock::time_point deadline;  ///< the answer is of no use after it
  std::string request_id;            ///< of the first row's request; travels in metadata
};

/// One domain's expert as the router sees it: in process or behind an address. Thread-safe.
class Expert {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<model::ScoreBatch>) &&>;

  virtual ~Expert() = default;

  /// Scores `batch` and calls `done` exactly once, at the latest shortly after the deadline: on
  /// this thread before returning, or later on another one. Rows of the answer are in the order of
  /// `batch.rows`. A status means that the expert failed, whatever its code.
  virtual void Score(SubBatch batch, const CallContext& context, Done done) = 0;

  /// Ends the calls in progress early and refuses those that come, with UNAVAILABLE. When this
  /// returns, every `done` has run. Idempotent; not from a `done`.
  virtual void Stop() = 0;

  /// False when it is known that nobody would answer (all endpoints are down): not worth asking.
  virtual bool Available() const = 0;
};

}  // namespace orchard::experts
