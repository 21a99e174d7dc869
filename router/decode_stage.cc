#include "router/decode_stage.h"

#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/status.h"

namespace orchard::router {

using core::Clock;

DecodeStage::DecodeStage(Options options, ServiceTimes& times, Metrics& metrics, Next next)
    : options_(std::move(options)),
      times_(times),
      metrics_(metrics),
      next_(std::move(next)),
      pool_({.name = "decode",
             .max_batch = 1,
             .max_waiting = options_.max_waiting,
             .workers = options_.workers,
             .start_worker = nullptr},
            [this](std::vector<RequestPtr> one) { Process(std::move(one.front())); }) {}

void DecodeStage::Process(RequestPtr request) {
  const Metrics::Busy busy(metrics_, Metrics::kDecode);
  absl::Status status = Decode(*request);
  if (status.ok()) status = next_(std::move(request));
  // NOLINTNEXTLINE(bugprone-use-after-move): the next stage takes only what it does not refuse.
  if (!status.ok()) request->Finish(status);
}

absl::Status DecodeStage::Decode(Request& request) {
  Passage& passage = request.passage;
  const Clock::time_point now = Clock::now();
  const Clock::duration needed =
      times_.decode.Recent() + times_.encode.Recent() + times_.experts.Recent();
  ORCHARD_RETURN_IF_ERROR(request.CheckWorthIt(now, needed));
  passage.Enter(Stage::kDecode, now);
  const size_t side = options_.profile.crop;
  request.pixels.resize(side * side * 3);
  ORCHARD_RETURN_IF_ERROR(
      vision::DecodeForEncoder(request.image, options_.limits, options_.profile, request.pixels));
  passage.Enter(Stage::kEncodeQueue, Clock::now());
  times_.decode.Add(passage.In(Stage::kDecode));
  return absl::OkStatus();
}

}  // namespace orchard::router
