#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/types.h>

#include "model/encoder.h"
#include "training/studies/masked_moe/masked_moe.h"
#include "training/studies/masked_moe/sharded_encoder.h"
#include "vision/vision.h"

namespace orchard::training {

/// The encoder's features of many pictures, in the host's memory.
struct FeatureTable {
  torch::Tensor map;     ///< float16 [N, 320, 7, 7]: half the memory, and no figure needs more
  torch::Tensor pooled;  ///< float32 [N, 1280]

  /// Some rows, in float32; without `with_map` the pooled ones alone.
  nets::EncoderFeatures Rows(const torch::Tensor& index, bool with_map = true) const;
};

/// Decodes (as serving does) and encodes files, a chunk at a time. Errors name the file.
absl::StatusOr<FeatureTable> EncodeFiles(ShardedEncoder& encoder,
                                         const std::vector<std::filesystem::path>& files,
                                         const vision::Profile& profile, size_t threads,
                                         const std::string& title);

/// The same by the encoder as it is served, whose pictures each come alone.
absl::StatusOr<FeatureTable> EncodeFiles(const model::Encoder& encoder,
                                         const std::vector<std::filesystem::path>& files,
                                         const vision::Profile& profile, size_t threads,
                                         const std::string& title);

/// Logits of every row in evaluation mode, on the host wherever the network is.
Logits Evaluate(MaskedMoeImpl& network, const FeatureTable& features);

}  // namespace orchard::training
