#include "vision/internal/resample.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

namespace orchard::vision::internal {
namespace {

// GCC's vector extension: the same source becomes SSE, AVX or NEON instructions.
using Bytes16 = std::uint8_t __attribute__((vector_size(16)));
using Floats16 = float __attribute__((vector_size(64)));
using Floats4 = float __attribute__((vector_size(16)));
using Ints4 = std::int32_t __attribute__((vector_size(16)));

constexpr size_t kBlock = 16;

template <typename Vector, typename Element>
Vector Load(const Element* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

/// The weighted sum of `count` rows, `stride` bytes apart, into `out`, [columns].
void BlendRows(const std::uint8_t* rows, size_t stride, const float* weight, size_t count,
               size_t columns, float* out) {
  size_t x = 0;
  for (; x + kBlock <= columns; x += kBlock) {
    Floats16 sum{};
    for (size_t t = 0; t < count; ++t) {
      const auto bytes = Load<Bytes16>(rows + t * stride + x);
      sum += __builtin_convertvector(bytes, Floats16) * weight[t];
    }
    std::memcpy(out + x, &sum, sizeof(sum));
  }
  for (; x < columns; ++x) {
    float sum = 0.0F;
    for (size_t t = 0; t < count; ++t) sum += static_cast<float>(rows[t * stride + x]) * weight[t];
    out[x] = sum;
  }
}

/// One row of results from a row of blended pixels; position 0 of `row` is source position `left`.
/// `row` must be readable one float past its last pixel.
void BlendColumns(const float* row, size_t left, const Taps& taps, std::uint8_t* out) {
  const float* weight = taps.weight.data();
  for (const size_t first : taps.first) {
    const float* pixel = row + (first - left) * 3;
    Floats4 sum = {0.5F, 0.5F, 0.5F, 0.5F};  // Rounds when cut to an integer.
    for (size_t t = 0; t < taps.count; ++t) sum += Load<Floats4>(pixel + 3 * t) * weight[t];
    weight += taps.count;
    // Weights are positive and sum to 1 within an ulp or so: no result leaves [0, 255.6).
    const Ints4 rounded = __builtin_convertvector(sum, Ints4);
    out[0] = static_cast<std::uint8_t>(rounded[0]);
    out[1] = static_cast<std::uint8_t>(rounded[1]);
    out[2] = static_cast<std::uint8_t>(rounded[2]);
    out += 3;
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
  std::vector<float> row(needed + 1);
  for (size_t y = 0; y < vertical.first.size(); ++y) {
    BlendRows(source.data() + (vertical.first[y] * width + left) * 3, width * 3,
              vertical.weight.data() + y * vertical.count, vertical.count, needed, row.data());
    BlendColumns(row.data(), left, horizontal, out.data() + y * columns * 3);
  }
}

}  // namespace orchard::vision::internal
