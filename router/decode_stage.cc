#include "router/decode_stage.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/status.h"
#include "core/without_throwing.h"
#include "vision/preprocess.h"

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
  absl::Status status =
      core::WithoutThrowing("decoding the picture", [&] { return Decode(*request); });
  if (status.ok()) status = next_(std::move(request));
  if (status.ok()) return;
  // NOLINTNEXTLINE(bugprone-use-after-move): the next stage takes only what it does not refuse.
  request->Finish(status);
}

absl::Status DecodeStage::Decode(Request& request) {
  Passage& passage = request.passage;
  const Clock::time_point now = Clock::now();
  ORCHARD_RETURN_IF_ERROR(request.CheckWorthIt(
      now, estimates_.FromDecode(request.image.size(), request.model->place())));
  passage.Enter(Stage::kDecode, now);
  ORCHARD_RETURN_IF_ERROR(request.model->picture_views().empty() ? DecodePixels(request)
                                                                 : DecodeAndHold(request));
  passage.Enter(Stage::kEncodeQueue, Clock::now());
  estimates_.Decoded(request.image.size(), passage.In(Stage::kDecode));
  return absl::OkStatus();
}

/// For the encoder alone: what is decoded is of no more use.
absl::Status DecodeStage::DecodePixels(Request& request) const {
  const vision::Profile& profile = *request.model->profile();
  request.pixels.resize(profile.crop * profile.crop * 3);
  return vision::DecodeForEncoder(request.image, options_.limits, profile, request.pixels);
}

/// For the encoder, if there is one, and for experts that may want to look at the picture: which of
/// them will is known when the gates have spoken. Decoded once, as large as the largest of them
/// needs it.
absl::Status DecodeStage::DecodeAndHold(Request& request) const {
  const ServedModel& model = *request.model;
  size_t enough = model.profile() ? model.profile()->shorter_side : 0;
  for (const PictureView& view : model.picture_views()) {
    enough = std::max(enough, view.profile.shorter_side);
  }
  ORCHARD_ASSIGN_OR_RETURN(vision::Image image,
                           vision::Decode(request.image, options_.limits, enough));
  if (model.profile()) {
    ORCHARD_ASSIGN_OR_RETURN(request.pixels, vision::Fit(image, *model.profile()));
  }
  request.picture.emplace(std::move(image), model.picture_views());
  // Where there is no room for what is decoded, all that may be asked for is made now.
  if (request.slot.Hold(request.picture->bytes())) return absl::OkStatus();
  return request.picture->RenderAll();
}

}  // namespace orchard::router
