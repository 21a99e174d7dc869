#include "vision/rand_augment.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "vision/internal/colour.h"
#include "vision/internal/warp.h"

namespace orchard::vision {
namespace {

using internal::Affine;
using internal::ColourChange;

void ChangeBrightness(float factor, std::span<std::uint8_t> rgb) {
  ColourChange change;
  Scale(change, factor, 0.0F);
  Apply(change, rgb);
}

void ChangeContrast(float factor, std::span<std::uint8_t> rgb) {
  ColourChange change;
  Scale(change, factor, (1 - factor) * internal::GreyOf(internal::MeanColour(rgb)));
  Apply(change, rgb);
}

/// Every byte through a table of its channel.
template <typename Table>
void MapBytes(const Table& table, std::span<std::uint8_t> rgb) {
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = table[i % 3][rgb[i]];
}

using ByteTable = std::array<std::uint8_t, 256>;

/// The same table for all channels.
template <typename Function>
void MapAll(const Function& of, std::span<std::uint8_t> rgb) {
  for (std::uint8_t& byte : rgb) byte = static_cast<std::uint8_t>(of(byte));
}

/// Blends with a 3 × 3 blur (weights 1, centre 5, of 13), pixels at the edge left as they are.
void ChangeSharpness(float factor, size_t side, std::span<std::uint8_t> rgb) {
  if (side < 3) return;
  const std::vector<std::uint8_t> from(rgb.begin(), rgb.end());
  const size_t stride = side * 3;
  for (size_t y = 1; y + 1 < side; ++y) {
    for (size_t k = 3; k + 3 < stride; ++k) {
      const std::uint8_t* at = &from[y * stride + k];
      int sum = 4 * at[0];
      for (const std::uint8_t* row : {at - stride, at, at + stride}) {
        sum += row[-3] + row[0] + row[3];
      }
      const float blurred = static_cast<float>(sum) / 13.0F;
      const float value = blurred + (static_cast<float>(at[0]) - blurred) * factor;
      // Cut to a byte first, so this rounds rightly. NOLINTNEXTLINE(bugprone-incorrect-roundings)
      rgb[y * stride + k] = static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F) + 0.5F);
    }
  }
}

std::array<std::array<size_t, 256>, 3> Histograms(std::span<const std::uint8_t> rgb) {
  std::array<std::array<size_t, 256>, 3> histograms{};
  for (size_t i = 0; i < rgb.size(); ++i) ++histograms[i % 3][rgb[i]];
  return histograms;
}

/// From the channel's least to its greatest value; a channel of one value stays.
ByteTable Stretch(const std::array<size_t, 256>& histogram) {
  int least = 0;
  int greatest = 255;
  while (least < 255 && histogram[static_cast<size_t>(least)] == 0) ++least;
  while (greatest > least && histogram[static_cast<size_t>(greatest)] == 0) --greatest;
  ByteTable table{};
  for (int v = 0; v < 256; ++v) {
    const int stretched = greatest == least ? v : (v - least) * 255 / (greatest - least);
    table[static_cast<size_t>(v)] = static_cast<std::uint8_t>(std::clamp(stretched, 0, 255));
  }
  return table;
}

/// As PIL does it: the cumulated histogram in steps of the mean count, the greatest value left out.
ByteTable Flatten(const std::array<size_t, 256>& histogram) {
  ByteTable table{};
  size_t total = 0;
  size_t greatest = 0;
  for (size_t v = 0; v < 256; ++v) {
    table[v] = static_cast<std::uint8_t>(v);
    total += histogram[v];
    if (histogram[v] > 0) greatest = v;
  }
  const size_t step = (total - histogram[greatest]) / 255;
  if (step == 0) return table;
  size_t sum = step / 2;
  for (size_t v = 0; v < 256; ++v) {
    table[v] = static_cast<std::uint8_t>(std::min<size_t>(sum / step, 255));
    sum += histogram[v];
  }
  return table;
}

template <typename Function>
void MapByHistogram(const Function& table_of, std::span<std::uint8_t> rgb) {
  const auto histograms = Histograms(rgb);
  MapBytes(std::array{table_of(histograms[0]), table_of(histograms[1]), table_of(histograms[2])},
           rgb);
}

}  // namespace

void Operate(Operation operation, double strength, bool negative, size_t side,
             std::span<std::uint8_t> rgb) {
  constexpr double kShear = 0.3;
  constexpr double kTranslate = 150.0 / 331.0;
  constexpr double kTurns = 30.0 / 360.0;
  constexpr double kFactor = 0.9;
  constexpr double kBits = 4.0;
  const double sign = negative ? -1.0 : 1.0;
  const auto warp = [&](const Affine& from) {
    internal::Warp(from, internal::MeanColour(rgb), side, rgb);
  };
  const double way = sign * strength * kTranslate * static_cast<double>(side);
  const auto factor = static_cast<float>(1.0 + sign * strength * kFactor);
  switch (operation) {
    case Operation::kIdentity:
      return;
    case Operation::kShearX:
      return warp({.xy = sign * strength * kShear});
    case Operation::kShearY:
      return warp({.yx = sign * strength * kShear});
    case Operation::kTranslateX:
      return warp({.dx = way});
    case Operation::kTranslateY:
      return warp({.dy = way});
    case Operation::kRotate:
      return warp(internal::Rotation(sign * strength * kTurns));
    case Operation::kBrightness:
      return ChangeBrightness(factor, rgb);
    case Operation::kColour:
      return Apply(Then(internal::Saturation(factor), ColourChange{}), rgb);
    case Operation::kContrast:
      return ChangeContrast(factor, rgb);
    case Operation::kSharpness:
      return ChangeSharpness(factor, side, rgb);
    case Operation::kPosterise: {
      const auto dropped = static_cast<unsigned>(std::lround(strength * kBits));
      return MapAll([&](unsigned v) { return v >> dropped << dropped; }, rgb);
    }
    case Operation::kSolarise: {
      const double threshold = 255.0 * (1.0 - strength);
      return MapAll([&](unsigned v) { return v >= threshold ? 255 - v : v; }, rgb);
    }
    case Operation::kAutoContrast:
      return MapByHistogram(Stretch, rgb);
    case Operation::kEqualise:
      return MapByHistogram(Flatten, rgb);
  }
}

void RandAugment(size_t operations, double magnitude, size_t side, std::mt19937_64& random,
                 std::span<std::uint8_t> rgb) {
  for (size_t i = 0; i < operations; ++i) {
    const Operation operation = kOperations[random() % kOperations.size()];
    const bool negative = (random() >> 63) != 0;
    Operate(operation, magnitude / kMostMagnitude, negative, side, rgb);
  }
}

}  // namespace orchard::vision
