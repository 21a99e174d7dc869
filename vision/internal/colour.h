#pragma once

#include <array>
#include <cstdint>
#include <span>

/// \file
/// Changes of colour that are linear, so that several are one matrix and one pass.

namespace orchard::vision::internal {

using Colour = std::array<float, 3>;  ///< red, green, blue, [0, 255]

/// Of [n, 3] bytes.
Colour MeanColour(std::span<const std::uint8_t> rgb);

/// ITU-R BT.601's weights of red, green and blue in grey.
inline constexpr Colour kGrey = {0.299F, 0.587F, 0.114F};
inline float GreyOf(const Colour& c) { return kGrey[0] * c[0] + kGrey[1] * c[1] + kGrey[2] * c[2]; }

/// colour → matrix · colour + offset.
struct ColourChange {
  std::array<Colour, 3> matrix = {Colour{1, 0, 0}, Colour{0, 1, 0}, Colour{0, 0, 1}};
  float offset = 0.0F;
};

/// `first`, and then a matrix that leaves greys alone.
ColourChange Then(const std::array<Colour, 3>& second, const ColourChange& first);

/// `change` with its matrix times `factor`, and this offset.
void Scale(ColourChange& change, float factor, float offset);

/// Between a colour and its grey: 0 is grey, 1 the colour.
std::array<Colour, 3> Saturation(float factor);

/// Turns chrominance by a share of a full circle and keeps the luma: a rotation in the plane of
/// U and V (ITU-R BT.601). Exact for greys, which have no chrominance.
std::array<Colour, 3> Hue(double turns);

/// In place, rounded and cut to a byte.
void Apply(const ColourChange& change, std::span<std::uint8_t> rgb);

}  // namespace orchard::vision::internal
