#include "vision/internal/resample.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

namespace orchard::vision::internal {
namespace {

// GCC's vector extension: the same source becomes SSE or NEON instructions.
using Bytes16 = std::uint8_t __attribute__((vector_size(16)));
using Words8 = std::uint16_t __attribute__((vector_size(16)));
using Floats4 = float __attribute__((vector_size(16)));
using Floats8 = float __attribute__((vector_size(32)));
using Ints4 = std::int32_t __attribute__((vector_size(16)));

constexpr size_t kBlock = 16;     // bytes of a row at a time
constexpr float kOne = 65536.0F;  // a weight of one, in the first pass
constexpr float kLevel = 256.0F;  // a grey level, in what the first pass gives

template <typename Vector, typename Element>
Vector Load(const Element* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

/// The upper halves of the products.
Words8 MultiplyHigh(Words8 a, Words8 b) {
#ifdef __SSE2__
  using Shorts8 = std::int16_t __attribute__((vector_size(16)));
  return reinterpret_cast<Words8>(
      __builtin_ia32_pmulhuw128(reinterpret_cast<Shorts8>(a), reinterpret_cast<Shorts8>(b)));
#else
  using Wide8 = std::uint32_t __attribute__((vector_size(32)));
  const Wide8 product = __builtin_convertvector(a, Wide8) * __builtin_convertvector(b, Wide8);
  return __builtin_convertvector(product >> 16, Words8);
#endif
}

/// The weights of one result in sixteen bits. Rounds their running sum, so that they add up to
/// exactly one; a single one is a unit short, which no eight-bit result shows.
void ToFixedPoint(const float* weight, size_t count, std::vector<std::uint16_t>& fixed) {
  fixed.resize(count);
  float sum = 0.0F;
  std::uint32_t before = 0;
  for (size_t t = 0; t < count; ++t) {
    sum += weight[t];
    const auto now = static_cast<std::uint32_t>(std::min(sum * kOne + 0.5F, kOne));
    fixed[t] = static_cast<std::uint16_t>(std::min<std::uint32_t>(now - before, 65535));
    before = now;
  }
}

/// The weighted sum of the rows that begin at `rows`, `stride` bytes apart, into `out`, [columns],
/// in 256ths of a grey level. Reads and writes whole blocks, or byte by byte behind the last.
void BlendRows(const std::uint8_t* rows, size_t stride, const std::vector<std::uint16_t>& weight,
               size_t columns, float* out) {
  // Each product is cut to 256ths; this makes up for what that costs on average.
  const auto start = static_cast<std::uint16_t>(std::min<size_t>(weight.size() / 2, 255));
  const Bytes16 zero{};
  size_t x = 0;
  for (; x + kBlock <= columns; x += kBlock) {
    Words8 low = Words8{} + start;
    Words8 high = Words8{} + start;
    const std::uint8_t* row = rows + x;
    for (const std::uint16_t w : weight) {
      const auto bytes = Load<Bytes16>(row);
      row += stride;
      // A byte in the upper half of a word.
      const Bytes16 first = __builtin_shufflevector(zero, bytes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                    5, 21, 6, 22, 7, 23);
      const Bytes16 second = __builtin_shufflevector(zero, bytes, 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                     28, 13, 29, 14, 30, 15, 31);
      low += MultiplyHigh(reinterpret_cast<Words8>(first), Words8{} + w);
      high += MultiplyHigh(reinterpret_cast<Words8>(second), Words8{} + w);
    }
    const Floats8 a = __builtin_convertvector(low, Floats8);
    const Floats8 b = __builtin_convertvector(high, Floats8);
    std::memcpy(out + x, &a, sizeof(a));
    std::memcpy(out + x + 8, &b, sizeof(b));
  }
  for (; x < columns; ++x) {
    std::uint32_t sum = start;
    const std::uint8_t* row = rows + x;
    for (const std::uint16_t w : weight) {
      sum += *row * std::uint32_t{w} >> 8;
      row += stride;
    }
    out[x] = static_cast<float>(sum);
  }
}

/// One row of results from a row of blended pixels; position 0 of `row` is source position `left`.
/// `row` must be readable one float past its last pixel. kCount is taps.count, or 0: any.
template <size_t kCount>
void BlendColumns(const float* row, size_t left, const Taps& taps, std::uint8_t* out) {
  const size_t count = kCount == 0 ? taps.count : kCount;
  const float* weight = taps.weight.data();
  for (const size_t first : taps.first) {
    const float* pixel = row + (first - left) * 3;
    Floats4 sum{};
#pragma GCC unroll 8
    for (size_t t = 0; t < count; ++t) sum += Load<Floats4>(pixel + 3 * t) * weight[t];
    weight += count;
    // Weights are positive and sum to one within an ulp or so: no result leaves [0, 255.6).
    const Ints4 rounded = __builtin_convertvector(sum * (1 / kLevel) + 0.5F, Ints4);
    out[0] = static_cast<std::uint8_t>(rounded[0]);
    out[1] = static_cast<std::uint8_t>(rounded[1]);
    out[2] = static_cast<std::uint8_t>(rounded[2]);
    out += 3;
  }
}

/// The loop unrolled for the usual numbers: 2 when a picture grows, 4 when it shrinks to no less
/// than half, which is what the decoder leaves to do of the shorter side, 6 down to a third for the
/// longer one.
auto BlendColumnsOf(size_t count) {
  switch (count) {
    case 2:
      return BlendColumns<2>;
    case 3:
      return BlendColumns<3>;
    case 4:
      return BlendColumns<4>;
    case 5:
      return BlendColumns<5>;
    case 6:
      return BlendColumns<6>;
    default:
      return BlendColumns<0>;
  }
}

}  // namespace
Taps MakeTaps(size_t size, double start, double extent, size_t length, size_t begin,
              size_t results) {
  assert(size >= 1 && results >= 1 && begin + results <= length);
  const double ratio = extent / static_cast<double>(length);
  const double support = std::max(ratio, 1.0);
  const auto edge = static_cast<double>(size);
  // An interval of 2 * support holds at most this many half-pixel centres.
  Taps taps{.count = std::min(size, static_cast<size_t>(std::ceil(2 * support))),
            .first = std::vector<size_t>(results),
            .weight = {}};
  taps.weight.resize(results * taps.count);
  std::vector<double> exact(taps.count);
  for (size_t i = 0; i < results; ++i) {
    const double centre = start + (static_cast<double>(begin + i) + 0.5) * ratio;
    const double low = std::clamp(std::floor(centre - support + 0.5), 0.0, edge - 1);
    // All results have the same number of taps; near the far edge some get the weight 0.
    const size_t first = std::min(static_cast<size_t>(low), size - taps.count);
    double total = 0.0;
    for (size_t t = 0; t < taps.count; ++t) {
      const double distance = std::abs(static_cast<double>(first + t) + 0.5 - centre) / support;
      exact[t] = std::max(0.0, 1.0 - distance);
      total += exact[t];
    }
    taps.first[i] = first;
    for (size_t t = 0; t < taps.count; ++t) {
      taps.weight[i * taps.count + t] = static_cast<float>(exact[t] / total);
    }
  }
  return taps;
}

void Resample(std::span<const std::uint8_t> source, size_t width, const Taps& horizontal,
              const Taps& vertical, std::span<std::uint8_t> out) {
  const size_t columns = horizontal.first.size();
  assert(out.size() == columns * vertical.first.size() * 3);
  assert(source.size() % (width * 3) == 0);
  // Only the source columns that some result needs.
  const auto [leftmost, rightmost] = std::ranges::minmax(horizontal.first);
  const size_t left = leftmost;
  const size_t needed = (rightmost + horizontal.count - left) * 3;
  const auto blend_columns = BlendColumnsOf(horizontal.count);
  std::vector<float> row(needed + 1);
  std::vector<std::uint16_t> weight;
  for (size_t y = 0; y < vertical.first.size(); ++y) {
    ToFixedPoint(vertical.weight.data() + y * vertical.count, vertical.count, weight);
    BlendRows(source.data() + (vertical.first[y] * width + left) * 3, width * 3, weight, needed,
              row.data());
    blend_columns(row.data(), left, horizontal, out.data() + y * columns * 3);
  }
}

}  // namespace orchard::vision::internal
