#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include <torch/types.h>

#include "model/encoder.h"
#include "nets/mobilenet_v2.h"
#include "training/data/picture_store.h"
#include "vision/vision.h"

namespace orchard::training {

/// Pictures that are decoded, or framed, and encoded at a time.
inline constexpr size_t kEncodedAtOnce = 128;

/// What the encoder as it is served makes of pictures, each by itself. `pixels` uint8
/// [N, 224, 224, 3], N ≥ 1. Errors: those of model::Encoder::Encode.
absl::StatusOr<nets::EncoderFeatures> EncodeServed(const model::Encoder& encoder,
                                                   const torch::Tensor& pixels);

/// Its pooled features of some pictures of a store, framed as in serving: float32 [n, 1280], in
/// their order. Says on stderr how far it is, under `title`. At least one picture.
absl::StatusOr<torch::Tensor> PooledOfPictures(const model::Encoder& encoder,
                                               const PictureStore& store,
                                               std::span<const size_t> pictures,
                                               const vision::Profile& profile, size_t threads,
                                               const std::string& title);

}  // namespace orchard::training
