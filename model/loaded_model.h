#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "model/expert_head.h"
#include "model/gates.h"
#include "moe/moe.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// What a router needs of a model. Immutable once made; thread-safe.
struct RouterModel {
  v1::ModelManifest manifest;
  moe::Taxonomy taxonomy;
  std::vector<std::string> concept_names;
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<Gates> gates;
};

/// Reads manifest, encoder and gates of a version folder, and warms them up with `max_batch` batch
/// sizes. Errors name the file.
absl::StatusOr<RouterModel> LoadRouterModel(const std::filesystem::path& version_dir,
                                            size_t max_batch,
                                            EncoderPrecision precision = EncoderPrecision::kAuto);

/// The experts of `domains` (all when empty), in the model's order, warmed up.
/// Errors name the file; NOT_FOUND naming a domain that the model doesn't have, and those it has.
absl::StatusOr<std::vector<std::unique_ptr<ExpertHead>>> LoadExperts(
    const std::filesystem::path& version_dir, const std::vector<std::string>& domains);

}  // namespace orchard::model
