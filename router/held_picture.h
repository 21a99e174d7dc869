#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "vision/vision.h"

namespace orchard::router {

/// One way in which experts look at pictures.
struct PictureView {
  vision::Profile profile;
  std::shared_ptr<const core::ViewSpec> spec;  ///< shared with the views of pictures
};

/// A decoded picture, kept until it is known which experts look at it, and rendered for these
/// alone. Not thread-safe: it goes along with its request.
class HeldPicture {
 public:
  /// `views` outlive it.
  HeldPicture(vision::Image image, std::span<const PictureView> views)
      : image_(std::move(image)), views_(views), rendered_(views.size()) {}

  /// Of what is decoded.
  size_t bytes() const { return image_.rgb.size(); }

  /// The picture as view `index` has it, [side, side, 3]; rendered when it is first asked for.
  /// Errors: RESOURCE_EXHAUSTED without memory.
  absl::StatusOr<std::span<const std::uint8_t>> Render(size_t index);

  /// Renders every view, and lets the picture go: where there is no room to hold it. Errors:
  /// Render's.
  absl::Status RenderAll();

 private:
  vision::Image image_;
  std::span<const PictureView> views_;
  std::vector<std::vector<std::uint8_t>> rendered_;  // by view; empty: not yet
};

}  // namespace orchard::router
