#pragma once

#include <bit>
#include <cstdint>

/// \file
/// Two-byte floats of the wire, by bits: GCC 12 has no such types in C++. Rounding is to nearest,
/// ties to even; what is too large becomes ±∞, which the caller must refuse.

namespace orchard::experts::internal {

/// IEEE 754 binary16 → binary32, exact.
inline float Fp16ToFloat(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {  // Zero or subnormal: a multiple of 2^-24.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t rebased = exponent == 0x1F ? 0xFFU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (rebased << 23) | (mantissa << 13));
}

/// binary32 (not NaN) → IEEE 754 binary16.
inline std::uint16_t FloatToFp16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude >= 0x47800000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // >= 65536
  if (magnitude < 0x38800000U) {  // Subnormal in FP16: floats near 0.5 lie 2^-24 apart.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(
        sign | (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F)));
  }
  const std::uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - ((127U - 15U) << 23)) >> 13));
}

/// BF16, the upper half of a binary32, → binary32, exact.
inline float Bf16ToFloat(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// binary32 (not NaN) → BF16.
inline std::uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace orchard::experts::internal
