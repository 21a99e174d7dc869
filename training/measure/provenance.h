#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/data/split.h"
#include "training/training.h"

namespace orchard::training {

inline constexpr const char* kProvenance = "PROVENANCE.md";

/// How many pictures of each domain were on each side, as a table of Markdown. `networks` names
/// what answers for each domain.
std::string PicturesTable(const std::vector<DomainClasses>& domains,
                          const std::vector<std::string>& networks, std::span<const Label> labels,
                          const std::vector<Side>& sides);

/// A model's PROVENANCE.md: what the recipe says of its sources, licences and limits, which
/// pictures were trained on and how (a paragraph), and what was measured, with counts and 95 %
/// intervals.
std::string ProvenanceText(const orchard::v1::ModelManifest& manifest, const v1::Provenance& words,
                           const std::string& pictures, const std::string& how);

/// The heading of the measured part of a PROVENANCE.md.
inline constexpr const char* kMeasured = "## Measured\n";

/// What stands below that heading, from a manifest's evaluation.
std::string MeasuredText(const orchard::v1::Evaluation& evaluation);

/// Replaces it in <out>/PROVENANCE.md, up to the next heading: what follows is not ours to change.
/// Errors name the file.
absl::Status UpdateProvenance(const std::filesystem::path& out,
                              const orchard::v1::Evaluation& evaluation);

}  // namespace orchard::training
