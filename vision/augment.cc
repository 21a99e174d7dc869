#include "vision/augment.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "core/random.h"
#include "vision/internal/colour.h"
#include "vision/internal/resample.h"
#include "vision/internal/warp.h"
#include "vision/rand_augment.h"
#include "vision/recompress.h"

namespace orchard::vision {
namespace {

using core::Uniform;

double Uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * Uniform(random);
}

struct Rectangle {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

/// A random rectangle of the share [min_area, max_area] of width x height and a log-uniform aspect
/// ratio in [min_aspect, 1 / min_aspect]; after ten that stick out, the largest centre square.
Rectangle RandomRectangle(double width, double height, double min_area, double max_area,
                          double min_aspect, std::mt19937_64& random) {
  constexpr int kTries = 10;
  const double log_aspect = std::log(min_aspect);
  for (int i = 0; i < kTries; ++i) {
    const double area = Uniform(random, min_area, max_area) * width * height;
    const double aspect = std::exp(Uniform(random, log_aspect, -log_aspect));
    const double across = Uniform(random);
    const double down = Uniform(random);
    const Rectangle size{.width = std::sqrt(area * aspect), .height = std::sqrt(area / aspect)};
    if (size.width > width || size.height > height) continue;
    return {.x = across * (width - size.width),
            .y = down * (height - size.height),
            .width = size.width,
            .height = size.height};
  }
  const double side = std::min(width, height);
  return {.x = (width - side) / 2, .y = (height - side) / 2, .width = side, .height = side};
}

/// The part of `image` that a view shows, in its pixels.
Rectangle RandomCrop(const Image& image, const Augmentation& augmentation,
                     std::mt19937_64& random) {
  const auto width = static_cast<double>(image.width);
  const auto height = static_cast<double>(image.height);
  const auto draw = [&](double across, double down) {
    return RandomRectangle(across, down, augmentation.min_area, 1.0, augmentation.min_aspect,
                           random);
  };
  if (augmentation.framing == Framing::kCentreCrop) return draw(width, height);
  const Rectangle share = draw(1.0, 1.0);
  return {.x = share.x * width,
          .y = share.y * height,
          .width = share.width * width,
          .height = share.height * height};
}

/// Mirrors in the order of results, so that a flip costs nothing.
void Reverse(internal::Taps& taps) {
  const size_t results = taps.first.size();
  for (size_t i = 0; i < results / 2; ++i) {
    const size_t mirrored = results - 1 - i;
    std::swap(taps.first[i], taps.first[mirrored]);
    std::swap_ranges(taps.weight.data() + i * taps.count, taps.weight.data() + (i + 1) * taps.count,
                     taps.weight.data() + mirrored * taps.count);
  }
}

/// Brightness, contrast, saturation and hue are linear in the colour, so that all four are one
/// matrix and one pass. Always four draws, so that one setting doesn't change another's numbers.
void ChangeColours(const Augmentation& augmentation, std::mt19937_64& random,
                   std::span<std::uint8_t> rgb) {
  const auto factor = [&](double range) {
    return static_cast<float>(Uniform(random, 1.0 - range, 1.0 + range));
  };
  const float brightness = factor(augmentation.brightness);
  const float contrast = factor(augmentation.contrast);
  const float saturation = factor(augmentation.saturation);
  const double hue = Uniform(random, -augmentation.hue, augmentation.hue);
  if (brightness == 1.0F && contrast == 1.0F && saturation == 1.0F && hue == 0.0) return;
  const float grey = internal::GreyOf(internal::MeanColour(rgb));
  internal::ColourChange change =
      Then(internal::Hue(hue), Then(internal::Saturation(saturation), internal::ColourChange{}));
  // About the mean grey of the brightened picture; saturation and hue leave greys alone.
  Scale(change, brightness * contrast, (1 - contrast) * brightness * grey);
  Apply(change, rgb);
}

void Erase(const Augmentation& augmentation, size_t side, std::mt19937_64& random,
           std::span<std::uint8_t> rgb) {
  constexpr double kMinAspect = 0.3;
  const auto length = static_cast<double>(side);
  const Rectangle hole = RandomRectangle(length, length, augmentation.erasing_min_area,
                                         augmentation.erasing_max_area, kMinAspect, random);
  const internal::Colour mean = internal::MeanColour(rgb);
  std::array<std::uint8_t, 3> fill{};
  for (size_t c = 0; c < 3; ++c) fill[c] = static_cast<std::uint8_t>(std::lround(mean[c]));
  const auto left = static_cast<size_t>(hole.x);
  const auto top = static_cast<size_t>(hole.y);
  const auto right = std::min(side, static_cast<size_t>(std::lround(hole.x + hole.width)));
  const auto bottom = std::min(side, static_cast<size_t>(std::lround(hole.y + hole.height)));
  for (size_t y = top; y < bottom; ++y) {
    for (size_t x = left; x < right; ++x) {
      std::ranges::copy(fill, rgb.begin() + static_cast<std::ptrdiff_t>((y * side + x) * 3));
    }
  }
}

/// Moves the view by up to `pad` pixels along both axes; where nothing comes from, the picture goes
/// on mirrored at its edge.
void Move(size_t pad, size_t side, double across, double down, std::span<std::uint8_t> rgb) {
  const auto length = static_cast<std::int64_t>(side);
  const auto most = static_cast<std::int64_t>(std::min(pad, side));
  const auto shift = [&](double share) {
    return static_cast<std::int64_t>(share * static_cast<double>(2 * most + 1)) - most;
  };
  const std::int64_t right = shift(across);
  const std::int64_t below = shift(down);
  if (right == 0 && below == 0) return;
  const auto mirrored = [&](std::int64_t at) {
    return at < 0 ? -at - 1 : at >= length ? 2 * length - 1 - at : at;
  };
  const std::vector<std::uint8_t> from(rgb.begin(), rgb.end());
  std::uint8_t* out = rgb.data();
  for (std::int64_t y = 0; y < length; ++y) {
    const std::uint8_t* row = &from[static_cast<size_t>(mirrored(y + below) * length * 3)];
    for (std::int64_t x = 0; x < length; ++x, out += 3) {
      std::memcpy(out, row + mirrored(x + right) * 3, 3);
    }
  }
}

/// What came later than the draws that views have had from the beginning: drawn at once and from
/// another stretch of the numbers, so that neither changes what a seed meant before.
struct Extras {
  double jpeg = 1.0;
  double across = 0.5;
  double down = 0.5;
  double rotation = 0.0;  ///< in [-1, 1)
  std::mt19937_64 operations;
};

Extras DrawExtras(const std::mt19937_64& random) {
  constexpr unsigned kFarAhead = 1000;  // No view draws so many.
  std::mt19937_64 others = random;
  others.discard(kFarAhead);
  Extras extras;
  extras.jpeg = Uniform(others);
  extras.across = Uniform(others);
  extras.down = Uniform(others);
  extras.rotation = Uniform(others, -1.0, 1.0);
  extras.operations = others;
  return extras;
}

bool HasExtras(const Augmentation& a) {
  return a.jpeg > 0.0 || a.pad > 0 || a.rotation > 0.0 || a.operations > 0;
}

/// The view before its colours are changed. Returns how it was mirrored.
Mirrored Frame(const Image& image, const Augmentation& augmentation, size_t side,
               std::mt19937_64& random, std::span<std::uint8_t> out) {
  const Rectangle crop = RandomCrop(image, augmentation, random);
  internal::Taps horizontal = internal::MakeTaps(image.width, crop.x, crop.width, side, 0, side);
  internal::Taps vertical = internal::MakeTaps(image.height, crop.y, crop.height, side, 0, side);
  const Mirrored mirrored{.left_right = Uniform(random) < augmentation.horizontal_flip,
                          .up_down = Uniform(random) < augmentation.vertical_flip};
  if (mirrored.left_right) Reverse(horizontal);
  if (mirrored.up_down) Reverse(vertical);
  internal::Resample(image.rgb, image.width, horizontal, vertical, out);
  return mirrored;
}

}  // namespace

Mirrored Augment(const Image& image, const Augmentation& augmentation, size_t side,
                 std::mt19937_64& random, std::span<std::uint8_t> out) {
  assert(out.size() == side * side * 3);
  std::optional<Extras> extras;  // Only where one is asked for: they are far ahead in the numbers.
  if (HasExtras(augmentation)) extras = DrawExtras(random);
  std::optional<Image> recompressed;
  if (extras && extras->jpeg < augmentation.jpeg) {
    recompressed = Recompress(image, augmentation.jpeg_quality);
  }
  const Mirrored mirrored =
      Frame(recompressed ? *recompressed : image, augmentation, side, random, out);
  if (augmentation.operations > 0) {
    RandAugment(augmentation.operations, augmentation.magnitude, side, extras->operations, out);
  }
  if (augmentation.pad > 0) Move(augmentation.pad, side, extras->across, extras->down, out);
  ChangeColours(augmentation, random, out);
  if (augmentation.rotation > 0.0) {
    const double turns = extras->rotation * augmentation.rotation / 360.0;
    internal::Warp(internal::Rotation(turns), internal::MeanColour(out), side, out);
  }
  if (Uniform(random) < augmentation.erasing) Erase(augmentation, side, random, out);
  return mirrored;
}

}  // namespace orchard::vision
