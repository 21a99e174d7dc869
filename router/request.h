#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "router/classification.h"
#include "router/estimates.h"
#include "router/held_picture.h"
#include "router/observers.h"
#include "router/options.h"
#include "router/passage.h"
#include "router/request_record.h"
#include "router/served_model.h"
#include "router/slot.h"

namespace orchard::router {

/// Called exactly once, on any thread. The answer lives until it returns.
using Done = absl::AnyInvocable<void(const absl::StatusOr<Classification>&) &&>;

/// One picture on its way. Each stage owns it while it works, then moves it on.
class Request {
 public:
  /// The observers outlive it.
  Request(std::shared_ptr<ServedModel> of_model, std::string_view image_bytes,
          Options valid_options, core::Clock::time_point arrived,
          core::Clock::time_point give_up_at, const Observers& observers, Done done)
      : model(std::move(of_model)),
        image(image_bytes),
        options(valid_options),
        give_up(give_up_at),
        passage(arrived),
        observers_(observers),
        done_(std::move(done)) {}

  /// Nobody should be left waiting, whatever mistake we made.
  ~Request() {
    if (done_) Finish(absl::InternalError("the request was dropped inside the router"));
  }

  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// Answers, and tells the observers. Frees the place first: who waits for this answer may come
  /// back with the next picture before this thread runs again.
  void Finish(const absl::StatusOr<Classification>& answer) {
    Answer(answer);
    Tell(answer);
  }

  /// The first half of Finish: tells those who hear before the answer, and answers.
  void Answer(const absl::StatusOr<Classification>& answer) {
    slot.Free();
    passage.End(core::Clock::now());
    observers_.BeforeAnswer(RecordOf(answer));
    std::move(std::exchange(done_, nullptr))(answer);
  }

  /// The second half: tells those who hear after it. The caller has gone by now, and the picture.
  void Tell(const absl::StatusOr<Classification>& answer) const {
    observers_.AfterAnswer(RecordOf(answer));
  }

  bool Cancelled() const { return cancelled.stop_requested(); }

  /// Whether more work is worth it. Errors: CANCELLED when nobody waits any more; DEADLINE_EXCEEDED
  /// when `needed` can't be done in time.
  absl::Status CheckWorthIt(core::Clock::time_point now, core::Clock::duration needed) const {
    if (Cancelled()) return absl::CancelledError("the caller has gone");
    return CheckBudget(now, give_up, needed);
  }

  /// Shared with the registry and other requests; null only where a request is refused because it
  /// chose none.
  const std::shared_ptr<ServedModel> model;
  const std::string_view image;  ///< a file's bytes; they live until Finish
  const Options options;
  const core::Clock::time_point give_up;  ///< the deadline less what sending an answer takes
  std::optional<Method> method;           ///< absent: asked within the process
  std::string id;
  core::TraceContext trace;   ///< `span` is this request's own
  std::stop_token cancelled;  ///< asks to stop when the caller has gone; may have no state
  Slot slot;
  Priority priority = Priority::kInteractive;
  core::Clock::duration judged_wait{};  ///< how long it was to wait for others, at admission
  Passage passage;
  std::vector<std::uint8_t> pixels;    ///< [crop, crop, 3]; from decode to encode
  std::optional<HeldPicture> picture;  ///< where experts of the model look at pictures
  core::Clock::duration cold_wait{};   ///< for domains that were being started
  std::vector<WaveRecord> waves;       ///< when an observer wants them
  std::optional<Routing> routing;      ///< of one that was routed, and has no answer

 private:
  RequestRecord RecordOf(const absl::StatusOr<Classification>& answer) const {
    return {.method = method,
            .request_id = id,
            .trace = trace,
            .model = model ? std::string_view(model->catalogue().version) : std::string_view(),
            .served = model.get(),
            .bytes = image.size(),  // The bytes themselves may have gone with the answer.
            .passage = passage,
            .status = answer.status(),
            .classification = answer.ok() ? &*answer : nullptr,
            .routing = answer.ok() ? &answer->routing : (routing ? &*routing : nullptr),
            .waves = waves,
            .cold_wait = cold_wait};
  }

  const Observers& observers_;
  Done done_;
};

using RequestPtr = std::unique_ptr<Request>;

}  // namespace orchard::router
