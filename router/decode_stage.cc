#include "router/decode_stage.h"

#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/status.h"

namespace orchard::router {

using core::Clock;

DecodeStage::DecodeStage(Options options, WaitingRoom<RequestPtr>& room, Estimates& estimates,
                         Metrics& metrics, Next next)
    : options_(std::move(options)),
      room_(room),
      estimates_(estimates),
      metrics_(metrics),
      next_(std::move(next)) {
  for (size_t i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { Work(); });
}

void DecodeStage::Work() {
  while (std::optional<RequestPtr> request = room_.Next()) Process(*std::move(request));
}

void DecodeStage::Process(RequestPtr request) {
  const Metrics::Busy busy(metrics_, Metrics::kDecode);
  absl::Status status = Decode(*request);
  if (status.ok()) status = next_(std::move(request));
  if (status.ok()) return;
  // NOLINTNEXTLINE(bugprone-use-after-move): the next stage takes only what it does not refuse.
  request->Finish(status);
}

absl::Status DecodeStage::Decode(Request& request) {
  Passage& passage = request.passage;
  const Clock::time_point now = Clock::now();
  ORCHARD_RETURN_IF_ERROR(request.CheckWorthIt(now, estimates_.FromDecode(request.image.size())));
  passage.Enter(Stage::kDecode, now);
  const size_t side = options_.profile.crop;
  request.pixels.resize(side * side * 3);
  ORCHARD_RETURN_IF_ERROR(
      vision::DecodeForEncoder(request.image, options_.limits, options_.profile, request.pixels));
  passage.Enter(Stage::kEncodeQueue, Clock::now());
  estimates_.Decoded(request.image.size(), passage.In(Stage::kDecode));
  return absl::OkStatus();
}

}  // namespace orchard::router
