#include "router/held_picture.h"

#include "core/status.h"
#include "vision/preprocess.h"

namespace orchard::router {

absl::StatusOr<std::span<const std::uint8_t>> HeldPicture::Render(size_t index) {
  std::vector<std::uint8_t>& pixels = rendered_[index];
  if (pixels.empty()) {
    ORCHARD_ASSIGN_OR_RETURN(pixels, vision::Fit(image_, views_[index].profile));
  }
  return pixels;
}

absl::Status HeldPicture::RenderAll() {
  for (size_t index = 0; index < views_.size(); ++index) {
    ORCHARD_RETURN_IF_ERROR(Render(index).status());
  }
  image_ = {};
  return absl::OkStatus();
}

}  // namespace orchard::router
