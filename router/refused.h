#pragma once

#include <cstddef>

#include "absl/status/status.h"

#include "core/micro_batcher.h"
#include "router/observers.h"
#include "router/request.h"

namespace orchard::router {

/// Ends requests that are refused where they come in, which is a thread of gRPC's: they are
/// answered there, at once, and told of here. (What is in progress ends on a worker, which does
/// both.)
///
/// gRPC has two threads for all calls, and what observers make of a record, a line of the log or
/// more, would keep them from the next. Those that must hear before the answer (the counters) hear
/// on the thread that answers, as they always do: waiting for another one would cost the caller
/// more than they do.
///
/// A thread of its own, and not one of the combine pool: what waits here must not stand before the
/// next wave of a picture in progress. Bounded: when a flood has filled the queue, the thread that
/// refused tells too. Nothing is lost, nothing grows, and the flood pays for itself.
///
/// Thread-safe. Its end waits until all is told.
class Refused {
 public:
  static constexpr size_t kMostWaiting = 256;

  /// Of the requests that come, too; they outlive it.
  explicit Refused(const Observers& observers);

  /// Answers with `why` on this thread.
  void End(RequestPtr request, absl::Status why);

 private:
  struct Answered {
    RequestPtr request;
    absl::Status why;

    void Tell() const { request->Tell(why); }
  };

  const Observers& observers_;
  core::MicroBatcher<Answered> teller_;
};

}  // namespace orchard::router
