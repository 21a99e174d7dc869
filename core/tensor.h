#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

/// \file
/// Rows of numbers as folders pass them on, without LibTorch: it costs many seconds a file.

namespace orchard::core {

/// What a row holds; an expert reads exactly one kind. The same as v1::FeatureKind, which is the
/// wire's word for it.
enum class FeatureKind : std::uint8_t { kPooled, kMap, kImage };

/// The features of a micro-batch: what the encoder gives, and what experts read.
/// Rows are pictures. Immutable once made and shared by the requests of the batch, so that no row
/// is copied on its way to an in-process expert.
struct FeatureBatch {
  size_t rows = 0;
  size_t pooled_width = 0;    ///< D, floats a row
  size_t map_width = 0;       ///< channels * height * width, floats a row
  std::vector<float> pooled;  ///< [rows, D]
  std::vector<float> map;     ///< [rows, C, H, W], row-major

  /// One row of `kind` (kPooled or kMap).
  std::span<const float> Row(FeatureKind kind, size_t row) const {
    return kind == FeatureKind::kPooled
               ? std::span<const float>(pooled).subspan(row * pooled_width, pooled_width)
               : std::span<const float>(map).subspan(row * map_width, map_width);
  }
};

}  // namespace orchard::core
