#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

#include "vision/vision.h"

namespace orchard::training {

/// Decoded pictures in memory, so that an epoch decodes nothing. A picture whose shorter side is
/// above `kept_side` was shrunk to it; about 200 kB each.
class PictureStore {
 public:
  static constexpr size_t kKeptSide = 256;  ///< pixels

  /// Decodes `paths` on `threads` threads. Errors name the file.
  static absl::StatusOr<PictureStore> Load(const std::vector<std::filesystem::path>& paths,
                                           size_t threads);

  const vision::Image& operator[](size_t index) const { return images_[index]; }
  size_t size() const { return images_.size(); }

 private:
  std::vector<vision::Image> images_;
};

/// What serving makes of each file: uint8 [N, crop, crop, 3]. Errors name the file.
absl::StatusOr<torch::Tensor> DecodeForServing(const std::vector<std::filesystem::path>& paths,
                                               const vision::Profile& profile, size_t threads);

}  // namespace orchard::training
