#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "model/expert_head.h"
#include "model/gates.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// What a router needs of a model. Immutable once made; thread-safe.
struct RouterModel {
  v1::ModelManifest manifest;
  std::unique_ptr<Encoder> encoder;  ///< null: nothing reads its features
  std::unique_ptr<Gates> gates;      ///< null: there is one domain
};

/// Loads encoder and gates of a version folder as its `manifest` says, and warms them up for
/// passes of up to `max_batch` pictures (warm_up.h). Who loads more than one thing reads the
/// manifest once, so that a folder that is exchanged meanwhile can't give parts of two models.
/// Errors name the file.
absl::StatusOr<RouterModel> LoadRouterModel(const std::filesystem::path& version_dir,
                                            v1::ModelManifest manifest, size_t max_batch,
                                            EncoderPrecision precision = EncoderPrecision::kAuto);

/// The same, with the folder's manifest.
absl::StatusOr<RouterModel> LoadRouterModel(const std::filesystem::path& version_dir,
                                            size_t max_batch,
                                            EncoderPrecision precision = EncoderPrecision::kAuto);

/// The experts of `domains` (all when empty), in the model's order, warmed up.
/// Errors name the file; NOT_FOUND naming a domain that the model doesn't have, and those it has.
absl::StatusOr<std::vector<std::unique_ptr<ExpertHead>>> LoadExperts(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest,
    const std::vector<std::string>& domains);

/// The same, with the folder's manifest.
absl::StatusOr<std::vector<std::unique_ptr<ExpertHead>>> LoadExperts(
    const std::filesystem::path& version_dir, const std::vector<std::string>& domains);

}  // namespace orchard::model
