#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/data/picture_set.h"
#include "training/parts.h"
#include "training/studies/gates/learn.h"
#include "training/work_folder.h"

namespace orchard::training {

/// What the model will be, as far as a run knows it: the encoder's part (its file lies in the work
/// folder), branches, and domains with their classes. A ModelManifest without experts' files.
inline constexpr const char* kOutline = "outline.textproto";

/// Errors: UNAVAILABLE naming the file.
absl::Status WriteOutline(const std::filesystem::path& work,
                          const orchard::v1::ModelManifest& outline);

/// Errors: NOT_FOUND when `work` holds no run of this study; INVALID_ARGUMENT naming the file.
absl::StatusOr<orchard::v1::ModelManifest> ReadOutline(const std::filesystem::path& work);

/// Features of some pictures of `set` as the encoder is served. Errors: those of the encoder.
absl::StatusOr<GateSide> EncodeSide(const model::Encoder& encoder, const v1::Recipe& recipe,
                                    const PictureSet& set, const std::vector<size_t>& pictures,
                                    size_t threads, const std::string& title);

/// New gates, with weights that depend on the recipe's seed alone. Errors: those of GatesImpl.
absl::StatusOr<std::shared_ptr<GatesImpl>> NewGates(const v1::Recipe& recipe,
                                                    const std::vector<DomainClasses>& domains);

}  // namespace orchard::training
