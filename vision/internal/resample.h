#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// \file
/// Bilinear resampling with antialiasing, in two passes. The filter is a triangle about the
/// half-pixel centre of each result, one source pixel wide to each side, or as wide as the ratio
/// when the picture shrinks, cut off at the picture's edge and normalised: what PIL and
/// torchvision call bilinear. (Plain bilinear looks at four pixels however far it shrinks and
/// aliases; averaging areas gives other values.)

namespace orchard::vision::internal {

/// Along one axis: which source positions a result is made of.
struct Taps {
  size_t count = 0;           ///< a result, the same for all
  std::vector<size_t> first;  ///< [results] source position of the first tap
  std::vector<float> weight;  ///< [results, count], each row sums to 1
};

/// The results `begin` to `begin + results` of the interval [start, start + extent) of `size`
/// source pixels, were it resized to `length` pixels. Requires size, length, results >= 1,
/// begin + results <= length and an interval inside [0, size].
Taps MakeTaps(size_t size, double start, double extent, size_t length, size_t begin,
              size_t results);

/// Three interleaved channels; `source` is [height, width, 3], `out` [rows, columns, 3] as many as
/// `vertical` and `horizontal` have results.
void Resample(std::span<const std::uint8_t> source, size_t width, const Taps& horizontal,
              const Taps& vertical, std::span<std::uint8_t> out);

}  // namespace orchard::vision::internal
