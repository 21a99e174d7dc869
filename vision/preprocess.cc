#include "vision/preprocess.h"

#include <algorithm>
#include <cassert>

#include "core/status.h"
#include "vision/internal/pixels.h"
#include "vision/internal/resample.h"

namespace orchard::vision {
namespace {

/// Along one axis: the middle `crop` of `size` pixels resized to `length`.
internal::Taps Centre(size_t size, size_t length, size_t crop) {
  return internal::MakeTaps(size, 0.0, static_cast<double>(size), length, (length - crop) / 2,
                            crop);
}

}  // namespace

void ResizeAndCrop(const Image& image, const Profile& profile, std::span<std::uint8_t> out) {
  assert(profile.crop >= 1 && profile.crop <= profile.shorter_side);
  assert(out.size() == profile.crop * profile.crop * 3);
  const size_t shorter = std::min(image.width, image.height);
  const auto length = [&](size_t side) { return side * profile.shorter_side / shorter; };
  internal::Resample(image.rgb, image.width, Centre(image.width, length(image.width), profile.crop),
                     Centre(image.height, length(image.height), profile.crop), out);
}

absl::Status DecodeForEncoder(std::string_view bytes, const Limits& limits, const Profile& profile,
                              std::span<std::uint8_t> out) {
  ORCHARD_ASSIGN_OR_RETURN(const Image bgr,
                           internal::DecodeBgr(bytes, limits, profile.shorter_side));
  ResizeAndCrop(bgr, profile, out);
  internal::SwapRedBlue(out);
  return absl::OkStatus();
}

}  // namespace orchard::vision
