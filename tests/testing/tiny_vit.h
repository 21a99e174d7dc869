#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/v1/model.pb.h"

/// \file
/// Experts that look at the picture: a small vision transformer with experts and random weights,
/// alone or among the experts of a tiny model.

namespace orchard::testing {

/// Of the pictures that it reads, pixels; the tiny model's encoder reads others.
inline constexpr int kTinyVitSide = 32;
inline constexpr int kTinyVitLayers = 2;
inline constexpr int kTinyVitExperts = 4;

/// A model of one domain, "sign", with the classes stop, yield, left, right, ahead: without gates
/// and without an encoder. Called "vit/1". Writes it into `version_dir`, made when absent.
absl::StatusOr<v1::ModelManifest> WriteTinyVit(const std::filesystem::path& version_dir);

/// Replaces the expert of `domain` in a folder that WriteTinyModel wrote by one on pictures, of the
/// same classes.
absl::StatusOr<v1::ModelManifest> LetLookAtPictures(const std::filesystem::path& version_dir,
                                                    const std::string& domain);

/// p(class | domain) of a picture's file, [C], by the network called directly on the picture
/// decoded to a shorter side of at least `enough` pixels, without anything that serves.
absl::StatusOr<std::vector<double>> DirectProbabilities(const std::filesystem::path& version_dir,
                                                        const std::string& domain,
                                                        std::string_view file, size_t enough);

}  // namespace orchard::testing
