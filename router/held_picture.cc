#include "router/held_picture.h"

#include "vision/preprocess.h"

namespace orchard::router {

std::span<const std::uint8_t> HeldPicture::Render(size_t index) {
  std::vector<std::uint8_t>& pixels = rendered_[index];
  if (pixels.empty()) {
    const vision::Profile& profile = views_[index].profile;
    pixels.resize(profile.crop * profile.crop * 3);
    vision::FitToEncoder(image_, profile, pixels);
  }
  return pixels;
}

void HeldPicture::RenderAll() {
  for (size_t index = 0; index < views_.size(); ++index) Render(index);
  image_ = {};
}

}  // namespace orchard::router
