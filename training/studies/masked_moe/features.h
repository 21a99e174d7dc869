#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "training/loop/feature_task.h"
#include "training/studies/masked_moe/masked_moe.h"
#include "training/studies/masked_moe/sharded_encoder.h"
#include "vision/vision.h"

namespace orchard::training {

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
