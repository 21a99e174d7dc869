#include "vision/preprocess.h"

#include <algorithm>
#include <cassert>

#include "core/status.h"
#include "core/without_throwing.h"
#include "vision/internal/pixels.h"
#include "vision/internal/resample.h"

namespace orchard::vision {
namespace {

/// Along one axis: the middle `crop` of `size` pixels resized to `length`.
internal::Taps Centre(size_t size, size_t length, size_t crop) {
  return internal::MakeTaps(size, 0.0, static_cast<double>(size), length, (length - crop) / 2,
                            crop);
}

/// Three channels in any order, [height, width, 3].
void FitBytesToEncoder(std::span<const std::uint8_t> pixels, size_t width, size_t height,
                       const Profile& profile, std::span<std::uint8_t> out) {
  assert(profile.crop >= 1 && profile.crop <= profile.shorter_side);
  assert(out.size() == profile.crop * profile.crop * 3);
  const bool whole = profile.framing == Framing::kWholePicture;
  const size_t shorter = std::min(width, height);
  const auto length = [&](size_t side) {
    return whole ? profile.crop : side * profile.shorter_side / shorter;
  };
  internal::Resample(pixels, width, Centre(width, length(width), profile.crop),
                     Centre(height, length(height), profile.crop), out);
}

}  // namespace

void FitToEncoder(const Image& image, const Profile& profile, std::span<std::uint8_t> out) {
  FitBytesToEncoder(image.rgb, image.width, image.height, profile, out);
}

absl::StatusOr<std::vector<std::uint8_t>> Fit(const Image& image, const Profile& profile) {
  return core::WithoutThrowing("resizing the picture",
                               [&]() -> absl::StatusOr<std::vector<std::uint8_t>> {
                                 std::vector<std::uint8_t> pixels(profile.crop * profile.crop * 3);
                                 FitToEncoder(image, profile, pixels);
                                 return pixels;
                               });
}

Image ShrinkTo(Image image, size_t shorter_side) {
  const size_t shorter = std::min(image.width, image.height);
  if (shorter <= shorter_side) return image;
  Image small{.width = image.width * shorter_side / shorter,
              .height = image.height * shorter_side / shorter,
              .rgb = {}};
  small.rgb.resize(small.width * small.height * 3);
  internal::Resample(image.rgb, image.width, Centre(image.width, small.width, small.width),
                     Centre(image.height, small.height, small.height), small.rgb);
  return small;
}

Image CutOut(const Image& image, const Area& area, size_t columns, size_t rows) {
  Image part{.width = columns, .height = rows, .rgb = {}};
  part.rgb.resize(columns * rows * 3);
  internal::Resample(image.rgb, image.width,
                     internal::MakeTaps(image.width, area.left, area.width, columns, 0, columns),
                     internal::MakeTaps(image.height, area.top, area.height, rows, 0, rows),
                     part.rgb);
  return part;
}

absl::Status DecodeForEncoder(std::string_view bytes, const Limits& limits, const Profile& profile,
                              std::span<std::uint8_t> out) {
  ORCHARD_ASSIGN_OR_RETURN(
      const internal::Pixels pixels,
      internal::DecodePixels(bytes, limits, profile.shorter_side, After::kFit));
  return core::WithoutThrowing("resizing the picture", [&] {
    FitBytesToEncoder(internal::Bytes(pixels.mat), static_cast<size_t>(pixels.mat.cols),
                      static_cast<size_t>(pixels.mat.rows), profile, out);
    if (pixels.bgr) internal::SwapRedBlue(out);
    return absl::OkStatus();
  });
}

}  // namespace orchard::vision
