#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// \file
/// Rows of numbers as folders pass them on, without LibTorch: it costs many seconds a file.

namespace orchard::core {

/// What a row holds; an expert reads exactly one kind. The same as v1::FeatureKind, which is the
/// wire's word for it.
enum class FeatureKind : std::uint8_t { kPooled, kMap, kImage };

/// What stands for one number of a row.
enum class ElementType : std::uint8_t { kFloat32, kUint8 };

/// What the rows of a view are: a part reads views of one spec, and no other.
struct ViewSpec {
  FeatureKind kind = FeatureKind::kPooled;
  ElementType element = ElementType::kFloat32;  ///< kUint8 for pictures
  /// [D]; [C, H, W]; or [side, side, 3], RGB, for pictures.
  std::vector<std::int64_t> row_shape = {};
  /// Of what made it, 16 hex digits: the encoder's fingerprint; for pictures that of how they were
  /// framed and resized.
  std::string made_by = {};

  /// Numbers a row.
  size_t RowWidth() const {
    size_t width = 1;
    for (const std::int64_t size : row_shape) width *= static_cast<size_t>(size);
    return width;
  }
};

/// Rows of one kind, as many as pictures, side by side in the memory of the host. Immutable once
/// made and shared, so that no row is copied on its way to an in-process expert. Who keeps rows
/// elsewhere (a device) would bring them here when they are asked for.
class View {
 public:
  View(std::shared_ptr<const ViewSpec> spec, std::vector<float> floats)
      : spec_(std::move(spec)), floats_(std::move(floats)), rows_(floats_.size() / Width()) {}
  View(std::shared_ptr<const ViewSpec> spec, std::vector<std::uint8_t> pixels)
      : spec_(std::move(spec)), pixels_(std::move(pixels)), rows_(pixels_.size() / Width()) {}

  const ViewSpec& spec() const { return *spec_; }
  size_t rows() const { return rows_; }

  /// Rows [first, first + count) of a view of kFloat32.
  std::span<const float> Floats(size_t first, size_t count) const {
    return std::span<const float>(floats_).subspan(first * Width(), count * Width());
  }
  /// All rows.
  std::span<const float> Floats() const { return floats_; }

  /// The same of kUint8.
  std::span<const std::uint8_t> Pixels(size_t first, size_t count) const {
    return std::span<const std::uint8_t>(pixels_).subspan(first * Width(), count * Width());
  }

 private:
  size_t Width() const { return spec_->RowWidth(); }

  std::shared_ptr<const ViewSpec> spec_;  // shared with all views that its maker makes
  std::vector<float> floats_;             // of kFloat32
  std::vector<std::uint8_t> pixels_;      // of kUint8
  size_t rows_;
};

/// What the encoder gives for a micro-batch: a view of each kind that it offers. Rows are pictures.
struct FeatureBatch {
  size_t rows = 0;
  std::vector<std::shared_ptr<const View>> views;  ///< shared with the calls to experts

  /// Null when there is none of that kind.
  std::shared_ptr<const View> Find(FeatureKind kind) const {
    for (const auto& view : views) {
      if (view->spec().kind == kind) return view;
    }
    return nullptr;
  }
};

}  // namespace orchard::core
