#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

#include "vision/decode.h"
#include "vision/vision.h"

namespace orchard::training {

/// Decoded pictures in memory, so that an epoch decodes nothing. A picture whose shorter side is
/// above `kKeptSide` was shrunk to it (about 200 kB each); a smaller one is as it was.
class PictureStore {
 public:
  static constexpr size_t kKeptSide = 256;  ///< pixels

  PictureStore() = default;
  explicit PictureStore(std::vector<vision::Image> images) : images_(std::move(images)) {}

  /// Decodes `paths` on `threads` threads. Errors name the file.
  static absl::StatusOr<PictureStore> Load(const std::vector<std::filesystem::path>& paths,
                                           size_t threads);

  /// A store of these pictures alone; `pictures` are ascending.
  PictureStore Only(const std::vector<size_t>& pictures) &&;

  const vision::Image& operator[](size_t index) const { return images_[index]; }
  size_t size() const { return images_.size(); }

 private:
  std::vector<vision::Image> images_;
};

/// What is taken of our own files, which may be larger than what a stranger may send, and PPM.
vision::Limits OwnFiles();

/// A picture as a store keeps it. Errors: those of vision::Decode.
absl::StatusOr<vision::Image> DecodeToKeep(std::string_view bytes);

/// What serving would make of these pictures of the store: uint8 [N, crop, crop, 3].
absl::StatusOr<torch::Tensor> FitPictures(const PictureStore& store,
                                          std::span<const size_t> pictures,
                                          const vision::Profile& profile, size_t threads);

/// What serving makes of each file: uint8 [N, crop, crop, 3]. Errors name the file.
absl::StatusOr<torch::Tensor> DecodeForServing(const std::vector<std::filesystem::path>& paths,
                                               const vision::Profile& profile, size_t threads);

}  // namespace orchard::training
