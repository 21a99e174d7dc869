#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "router/admission.h"
#include "router/classification.h"
#include "router/options.h"
#include "router/passage.h"

namespace orchard::router {

/// Called exactly once, on any thread. The answer lives until it returns.
using Done = absl::AnyInvocable<void(const absl::StatusOr<Classification>&) &&>;

/// One picture on its way. Each stage owns it while it works, then moves it on.
class Request {
 public:
  Request(std::string_view image_bytes, Options valid_options, core::Clock::time_point arrived,
          core::Clock::time_point give_up_at, Done done)
      : image(image_bytes),
        options(valid_options),
        give_up(give_up_at),
        passage(arrived),
        done_(std::move(done)) {}

  /// Nobody should be left waiting, whatever mistake we made.
  ~Request() {
    if (done_) Finish(absl::InternalError("the request was dropped inside the router"));
  }

  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// Answers. Frees the place first: who waits for this answer may come back with the next picture
  /// before this thread runs again.
  void Finish(const absl::StatusOr<Classification>& answer) {
    slot.reset();
    std::move(std::exchange(done_, nullptr))(answer);
  }

  bool Cancelled() const { return cancelled.stop_requested(); }

  /// Whether more work is worth it. Errors: CANCELLED when nobody waits any more; DEADLINE_EXCEEDED
  /// when `needed` can't be done in time.
  absl::Status CheckWorthIt(core::Clock::time_point now, core::Clock::duration needed) const {
    if (Cancelled()) return absl::CancelledError("the caller has gone");
    return CheckBudget(now, give_up, needed);
  }

  const std::string_view image;  ///< a file's bytes; they live until Finish
  const Options options;
  const core::Clock::time_point give_up;  ///< the deadline less what sending an answer takes
  std::string id;
  std::stop_token cancelled;  ///< asks to stop when the caller has gone; may have no state
  InFlightLimiter::Slot slot;
  Passage passage;
  std::vector<std::uint8_t> pixels;  ///< [crop, crop, 3]; from decode to encode

 private:
  Done done_;
};

using RequestPtr = std::unique_ptr<Request>;

}  // namespace orchard::router
